"""Read query parameters: only declared ones, and ``limit`` and ``cursor`` of every list."""

import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qsl, quote
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from tenantapp.api.problems import ApiError
from tenantapp.json_types import LOCAL_TIME
from tenantapp.tenancy.request import TenantRequest

Item = TypeVar("Item")

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500
MOST_IDS: Final = 100  # in one query parameter
QUERY: Final = "&=+%"  # what has a meaning in a query string
MOST_REMEMBERED: Final = 300  # characters of a query string whose model is kept
DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)  # RFC 3339
JSON_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")  # RFC 8259, section 6


class NoQuery(BaseModel):
    """Base of the models of query strings. It has no parameter.

    Requests with the same query string share one model, so a validator must depend on the text alone: not on the time,
    and not on who asks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __eq__(self, other: object) -> bool:
        """Return whether this is the same object. Equal values may be written differently: ``1.5`` and ``1.50``."""
        return self is other

    def __hash__(self) -> int:
        """Return a hash. The value of a filter need not have one."""
        return id(self)

    @field_validator("*", mode="wrap")
    @classmethod
    def _read_as_written(cls, text: Any, read: ValidatorFunctionWrapHandler) -> Any:
        """Accept one spelling of a value. Pydantic reads ``1_0``, ``5.0`` and `` 5`` as integers, ``on`` as true."""
        value = read(text)
        if isinstance(text, str) and not _is_written(text, value):
            raise ValueError("Write the value as JSON does.")
        return value


def _split(text: Any) -> Any:
    return tuple(text.split(",")) if isinstance(text, str) else text


Ids = Annotated[tuple[UUID, ...], BeforeValidator(_split), Field(min_length=1, max_length=MOST_IDS)]
"""Ids, separated by commas."""


class PageQuery(NoQuery):
    """The query parameters of every list."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: str | None = None

    def after(self) -> str | None:
        """Return the key that the page begins after, or None for the first page. Raises ``ApiError`` 400."""
        return None if self.cursor is None else decode_cursor(self.cursor)

    def after_id(self) -> UUID | None:
        """Return the id that the page begins after, or None for the first page. Raises ``ApiError`` 400."""
        try:
            after = self.after()
            return None if after is None else UUID(after)
        except ValueError:
            raise bad_query("cursor", "This is not a cursor of this list.") from None


def _is_written(text: str, value: Any) -> bool:
    """Return whether the text is the JSON spelling of a number or boolean, RFC 9562's of a UUID, RFC 3339's of a time.

    A tuple is a list with commas.
    """
    match value:
        case bool():
            return text == str(value).lower()
        case int():
            return text == str(value)
        case float() | Decimal():
            return JSON_NUMBER.fullmatch(text) is not None
        case UUID():
            return text.lower() == str(value)
        case datetime():
            return (LOCAL_TIME if value.tzinfo is None else DATE_TIME).fullmatch(text) is not None
        case date():
            return text == value.isoformat()
        case tuple():
            return all(_is_written(*pair) for pair in zip(text.split(","), value, strict=True))
    return True


def read_query(request: TenantRequest, model: type[NoQuery]) -> NoQuery:
    """Return the query string as a model. Raises ``ApiError`` 400 if a parameter is unknown, repeated or wrong."""
    if not request.environ.get("QUERY_STRING"):
        return _nothing_given(model)
    text = request.environ["QUERY_STRING"]
    return _read_text(model, text) if len(text) <= MOST_REMEMBERED else read_text(model, text)


def read_text(model: type[NoQuery], text: str) -> NoQuery:
    """Return a query string, as WSGI passes it, as a model. Raises ``ApiError`` 400."""
    # Bytes that the client has sent unquoted are quoted, because ``parse_qsl`` would take them for characters.
    quoted = text if text.isascii() else quote(text.encode("latin-1"), safe=QUERY)
    pairs = parse_qsl(quoted, keep_blank_values=True)
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ApiError(400, "invalid_query", "A query parameter is given twice.")
    return validate_query(model, values)


# Clients send few different ones, except for cursors.
_read_text = lru_cache(512)(read_text)


def validate_query(model: type[NoQuery], values: dict[str, str]) -> NoQuery:
    """Return these parameters as a model. Raises ``ApiError`` 400 that names the parameter which is wrong."""
    for name, value in values.items():
        if "\0" in name + value:
            raise bad_query(name.replace("\0", ""), "The NUL character is not allowed.")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            known = ", ".join(field.alias or name for name, field in model.model_fields.items())
            name = str(first["loc"][0])[:100]
            meant = nearest(name, known.split(", "))
            there = f"There is no such parameter. {meant}There is {known}" if known else "This call has no parameters"
            raise bad_query(name, there) from None
        raise bad_query(str(first["loc"][0]), str(first["msg"]).removeprefix("Value error, ")) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``Did you mean ...? `` with the known name that is most like this one, or nothing if none is."""
    found = get_close_matches(name[:50], list(known), 1)
    return f"Did you mean {found[0]}? " if found else ""


@cache
def _nothing_given(model: type[NoQuery]) -> NoQuery:
    """Return the model without parameters. It is frozen, so all requests share one."""
    return validate_query(model, {})


def bad_query(name: str, message: str) -> ApiError:
    """Return a 400 that names the query parameter."""
    ended = message if message.endswith("?") else f"{message.rstrip('.')}."
    return ApiError(400, "invalid_query", f"Query parameter {name}: {ended}")


def encode_cursor(key: str) -> str:
    """Return the opaque cursor of a key."""
    return urlsafe_b64encode(key.encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> str:
    """Return the key in a cursor. Raises ``ApiError`` 400 if ``encode_cursor`` did not make the cursor."""
    try:
        key = b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except ValueError:
        key = "\0"
    if "\0" in key:
        raise bad_query("cursor", "This is not a cursor of this list.")
    return key


def page_of(items: Sequence[Item], limit: int, key: Callable[[Item], str]) -> dict[str, Any]:
    """Return a page: ``{"items": [...], "next": cursor or None}``.

    Pass up to ``limit + 1`` items: one more than the limit means that there is a next page.
    """
    shown = items[:limit]
    return {"items": shown, "next": encode_cursor(key(shown[-1])) if len(items) > limit else None}
