"""The base of models of user input, and the types of their fields.

Views and scripts make these models, and services take them. Nothing here knows about HTTP.
"""

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import CoreSchema

from tenantapp.characters import check_text, clean_line
from tenantapp.json_types import reading_json
from tenantapp.sql.ids import parse_id

# Stands for a value that is kept. It is a secret of this process, so no client can send it.
KEPT: Final = secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Kept:
    """The context of a validation that takes these values as they are, by the names of their fields."""

    values: Mapping[str, Any]


def example(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's ``json_schema_extra`` with an example of a body, for the OpenAPI document.

    ``class TagContent(Content, json_schema_extra=example({"name": "heavy"}))``. The tests send each example.
    """
    return {"examples": [dict(document)]}


class Content(BaseModel):
    """Base of the models: strict types, declared fields only, frozen.

    From JSON the models also read the types that JSON does not have, such as dates and decimals (``json_types``).
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = reading_json(handler(source), handler)
        return schema

    @field_validator("*", mode="wrap")
    @classmethod
    def _check_what_changes(cls, value: Any, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if isinstance(info.context, Kept) and isinstance(value, str) and value == KEPT:
            return info.context.values[str(info.field_name)]
        return check(value)

    def changed(self, changes: Mapping[str, Any], reset: Collection[str] = ()) -> Self:
        """Return the content with these changes. The fields in ``reset`` get their defaults.

        Only the changed fields are checked, and then the whole by the model's own validators. So a value that was
        stored under other rules does not prevent a change of another field. A model validator of the mode ``before``
        sees a placeholder for what is kept. Raises pydantic's ``ValidationError``.
        """
        kept = self._kept({*changes, *reset})
        return self.model_validate(dict.fromkeys(kept, KEPT) | dict(changes), context=Kept(kept), by_name=True)

    def changed_by_json(self, changes: Mapping[str, Any], reset: Collection[str] = ()) -> Self:
        """Return the content with these changes, whose values are as JSON has them. See ``changed``."""
        kept = self._kept({*changes, *reset})
        document = orjson.dumps(dict.fromkeys(kept, KEPT) | dict(changes))
        return self.model_validate_json(document, context=Kept(kept), by_name=True)

    def _kept(self, changed: Collection[str]) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields if name not in changed}


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
