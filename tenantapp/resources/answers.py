"""The models of what a resource answers. They document the API; the tests validate answers against them."""

import re
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, create_model

from tenantapp.answers import Answer, Page
from tenantapp.resources.declaration import Resource
from tenantapp.resources.filters import value_type


class Count(Answer):
    """How many rows a list has in all. The number is exact, or the database's estimate."""

    rows: int
    exact: bool


class Changed(Answer):
    """How many rows the filters selected, and how many of them were changed."""

    matched: int
    changed: int


class Deleted(Answer):
    """How many rows were deleted."""

    deleted: int


def _requires_nothing(schema: dict[str, Any]) -> None:
    schema.pop("required", None)


class SomeFields(Answer):
    """Base of the models of rows of which a client wants some members. Those that are there are as in the whole row."""

    model_config = ConfigDict(json_schema_extra=_requires_nothing)


class Answers(NamedTuple):
    """The models of the answers of one resource. ``part`` is a page with some members of each row, by ``_fields``."""

    row: type[BaseModel]
    page: type[BaseModel]
    part: type[BaseModel]
    changed: type[BaseModel] = Changed
    deleted: type[BaseModel] = Deleted


def answer_models(resource: Resource[Any]) -> Answers:
    """Return the models of a row and of pages of rows. Raises ``DeclarationError`` if a member has no type."""
    name = "".join(word.title() for word in re.split(r"\W|_", resource.noun))
    fields: dict[str, Any] = {member: (member_type(resource, member), ...) for member in resource.members}
    row = create_model(name, __base__=Answer, __doc__=resource.describe(), **fields)
    some = create_model(
        f"{name}Fields",
        __base__=SomeFields,
        __doc__=f"Those members of a {resource.noun} that `_fields` names.",
        **fields,
    )
    return Answers(row, _page(resource, row, ""), _page(resource, some, " with the members that `_fields` names"))


def _page(resource: Resource[Any], item: type[BaseModel], what: str) -> type[BaseModel]:
    return create_model(
        f"{item.__name__}Page",
        __base__=Page[item],  # type: ignore[valid-type]
        __doc__=f"A page of {resource.name}{what}. There is a count if `_count` asks for it.",
        count=(Count | None, None),
    )


def member_type(resource: Resource[Any], member: str) -> Any:
    """Return the type of a member: that of the body's field without its bounds, or that of the column."""
    if member in resource.member_types:
        return resource.member_types[member]
    if member in resource.fields:
        return plain(resource.body.model_fields[resource.fields[member]].annotation)
    column = resource.column(member)
    type_ = value_type(column.type)
    return plain(type_ | None if column.nullable else type_)


def plain(annotation: Any) -> Any:
    """Return a type without the rules of its values: what was stored under other rules is shown too."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return plain(arguments[0])
    if origin is None or origin is Literal:
        return annotation
    if origin in (Union, UnionType):
        return reduce(or_, (plain(each) for each in arguments))
    return origin[tuple(plain(each) for each in arguments)]
