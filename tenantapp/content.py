"""The base of models of user input, and the types of their fields.

Views and scripts make these models, and services take them. Nothing here knows about HTTP.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from tenantapp.characters import check_text, clean_line
from tenantapp.sql.ids import parse_id


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The context of a validation that does not check these fields."""

    fields: frozenset[str]


def example(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's ``json_schema_extra`` with an example of a body, for the OpenAPI document.

    ``class TagContent(Content, json_schema_extra=example({"name": "heavy"}))``. The tests send each example.
    """
    return {"examples": [dict(document)]}


class Content(BaseModel):
    """Base of the models: strict types, declared fields only, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _check_what_changes(cls, value: Any, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        unchanged = isinstance(info.context, Unchanged) and info.field_name in info.context.fields
        return value if unchanged else check(value)

    def changed(self, changes: Mapping[str, Any], reset: Collection[str] = ()) -> Self:
        """Return the content with these changes. The fields in ``reset`` get their defaults.

        Only the changed fields are checked, and then the whole by the model's own validators. So a value that was
        stored under other rules does not prevent a change of another field. Raises pydantic's ``ValidationError``.
        """
        kept = frozenset(type(self).model_fields) - set(changes) - set(reset)
        values = {name: getattr(self, name) for name in kept} | dict(changes)
        return self.model_validate(values, context=Unchanged(kept), by_name=True)


def _read_id(value: Any) -> Any:
    return parse_id(value) if isinstance(value, str) else value


# An id as text or as a UUID. Pydantic alone would also accept braces, urn:uuid: and bytes.
Id = Annotated[UUID, BeforeValidator(_read_id)]
# Any number of lines.
Text = Annotated[str, AfterValidator(check_text)]


def one_line(length: int, clean: Callable[[str], str] = clean_line) -> AfterValidator:
    """Return the validator of a line: ``Annotated[str, Field(max_length=200), one_line(200)]``.

    ``Field`` measures the length first, because normalizing a long text takes long. The validator measures it again,
    because normalizing can make a text longer.
    """

    def check(text: str) -> str:
        line = clean(text)
        if len(line) > length:
            raise ValueError(f"This line may have at most {length} characters.")
        return line

    return AfterValidator(check)
