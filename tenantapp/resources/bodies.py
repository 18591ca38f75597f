"""Make the model of what clients write from the columns of a table.

    body=content_of(Product, "sku", "name", quantity=Annotated[int, Field(ge=1)])

Write a class derived from ``Content`` where the fields need more than types and bounds.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, create_model
from sqlalchemy import Column, Enum, String, inspect

from tenantapp.content import Content, Text, one_line
from tenantapp.resources.declaration import DeclarationError
from tenantapp.resources.filters import value_type

_REQUIRED: Final = ...


def content_of(model: type, *names: str, **types: Any) -> type[Any]:
    """Return a model of user input with these columns: ``names`` with the types of the columns, ``types`` with others.

    A text of a limited length is one line; others may have several. A field is optional if its column may be null, or
    has a value as its default. Raises ``DeclarationError`` if there is no such column, or a type needs to be said.
    """
    columns: Any = inspect(model).columns
    fields: dict[str, Any] = {}
    for name in (*names, *types):
        if name not in columns:
            raise DeclarationError(f"{model.__name__} has no column {name} that clients could write")
        column = columns[name]
        type_ = types[name] if name in types else _type_of(model, column)
        fields[name] = (type_ | None if column.nullable else type_, _default_of(column))
    described = f"What clients write of {model.__name__}."
    return create_model(f"{model.__name__}Content", __base__=Content, __doc__=described, **fields)


def _type_of(model: type, column: Column[Any]) -> Any:
    type_ = column.type
    if isinstance(type_, Enum) and type_.enum_class is None:
        return Literal[tuple(type_.enums)]
    if isinstance(type_, String) and not isinstance(type_, Enum):
        length = type_.length
        return Text if length is None else Annotated[str, Field(max_length=length), one_line(length)]
    try:
        return value_type(type_)
    except TypeError:
        raise DeclarationError(
            f"Say which type clients write: content_of({model.__name__}, {column.key}=TYPE)"
        ) from None


def _default_of(column: Column[Any]) -> Any:
    if column.default is not None and column.default.is_scalar:
        return column.default.arg  # type: ignore[attr-defined]
    return None if column.nullable else _REQUIRED
