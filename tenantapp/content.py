"""What somebody writes, as checked plain values: the base of such models and the types of their fields.

Services take them, views and scripts make them; nothing here knows of HTTP.
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
    """The context of a validation that takes these fields as they are."""

    fields: frozenset[str]


class Content(BaseModel):
    """Base of the models: strict types, no field that is not declared, and frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _check_what_changes(cls, value: Any, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        unchanged = isinstance(info.context, Unchanged) and info.field_name in info.context.fields
        return value if unchanged else check(value)

    def changed(self, changes: Mapping[str, Any], reset: Collection[str] = ()) -> Self:
        """Return the content with these changes, and the fields of ``reset`` back at their defaults.

        Only what changes is checked, and the whole by the model's own validators: what was stored under other rules
        does not stand in the way of a change of something else. Raises pydantic's ``ValidationError``.
        """
        kept = frozenset(type(self).model_fields) - set(changes) - set(reset)
        values = {name: getattr(self, name) for name in kept} | dict(changes)
        return self.model_validate(values, context=Unchanged(kept), by_name=True)


def _read_id(value: Any) -> Any:
    return parse_id(value) if isinstance(value, str) else value


# An id as text or as a UUID. Pydantic alone would take braces, urn:uuid: and bytes as well.
Id = Annotated[UUID, BeforeValidator(_read_id)]
# Any number of lines.
Text = Annotated[str, AfterValidator(check_text)]


def one_line(length: int, clean: Callable[[str], str] = clean_line) -> AfterValidator:
    """Make the validator of a line: ``Annotated[str, Field(max_length=200), one_line(200)]``.

    The length is measured before, because normalizing a long text can take long, and after, because it may add to it.
    """

    def check(text: str) -> str:
        line = clean(text)
        if len(line) > length:
            raise ValueError(f"A line has at most {length} characters here.")
        return line

    return AfterValidator(check)
