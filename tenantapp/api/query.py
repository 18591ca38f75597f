"""Query parameters: declared ones only, and the two that every list has."""

import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from tenantapp.api.problems import ApiError
from tenantapp.tenancy.request import TenantRequest

Item = TypeVar("Item")

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500
JSON_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")  # RFC 8259, section 6


class NoQuery(BaseModel):
    """No query parameters at all; the base of the models of query strings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _read_as_written(cls, text: Any, read: ValidatorFunctionWrapHandler) -> Any:
        """Take a value in one spelling. Pydantic reads ``1_0``, ``5.0`` and `` 5`` as integers, and ``on`` as true."""
        value = read(text)
        if isinstance(text, str) and not _is_written(text, value):
            raise ValueError("This is not how JSON writes it.")
        return value


class PageQuery(NoQuery):
    """What every list takes."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: str | None = None

    def after(self) -> str | None:
        """The key that the page begins after, or None for the first page. Raises ``ApiError`` 400."""
        return None if self.cursor is None else decode_cursor(self.cursor)

    def after_id(self) -> UUID | None:
        """The same where the key is an id."""
        try:
            after = self.after()
            return None if after is None else UUID(after)
        except ValueError:
            raise bad_query("cursor", "This is not a cursor of this list.") from None


def _is_written(text: str, value: Any) -> bool:
    """Whether the text is how JSON, or RFC 9562, writes this value; of other types nothing is said."""
    match value:
        case bool():
            return text == str(value).lower()
        case int():
            return text == str(value)
        case float():
            return JSON_NUMBER.fullmatch(text) is not None
        case UUID():
            return text.lower() == str(value)
    return True


def read_query(request: TenantRequest, model: type[NoQuery]) -> NoQuery:
    """The query string as a model. Raises ``ApiError`` 400 for a parameter that is unknown, repeated or wrong."""
    if not request.environ.get("QUERY_STRING"):
        return _nothing_given(model)
    pairs = list(request.GET.items())
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ApiError(400, "invalid_query", "A query parameter is given twice.")
    for name, value in pairs:
        if "\0" in name + value:
            raise bad_query(name.replace("\0", ""), "The NUL character is not allowed.")
    return _validate(model, values)


def _validate(model: type[NoQuery], values: dict[str, str]) -> NoQuery:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise bad_query(str(first["loc"][0]), str(first["msg"]).removeprefix("Value error, ")) from None


@cache
def _nothing_given(model: type[NoQuery]) -> NoQuery:
    """The model without parameters. It is frozen, so that one does for all requests."""
    return _validate(model, {})


def bad_query(name: str, message: str) -> ApiError:
    """A 400 that names the query parameter."""
    return ApiError(400, "invalid_query", f"Query parameter {name}: {message.rstrip('.')}.")


def encode_cursor(key: str) -> str:
    """A key as an opaque cursor."""
    return urlsafe_b64encode(key.encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> str:
    """The key in a cursor. Raises ``ApiError`` 400 if it is none of ours."""
    try:
        key = b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except ValueError:
        key = "\0"
    if "\0" in key:
        raise bad_query("cursor", "This is not a cursor of this list.")
    return key


def page_of(items: Sequence[Item], limit: int, key: Callable[[Item], str]) -> dict[str, Any]:
    """A page as it is answered, from one item more than the limit if there are more."""
    shown = items[:limit]
    return {"items": shown, "next": encode_cursor(key(shown[-1])) if len(items) > limit else None}
