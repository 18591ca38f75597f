"""JSON in and out: orjson, and the checks that no body escapes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from tenantapp.api.problems import ApiError
from tenantapp.characters import visible
from tenantapp.content import Content
from tenantapp.tenancy.request import TenantRequest

Model = TypeVar("Model", bound=BaseModel)
Changed = TypeVar("Changed", bound=Content)

MAX_DEPTH: Final = 32  # of values within values
MAX_ERRORS: Final = 20  # named in one answer
MOST_OF_A_NAME: Final = 100  # characters of a member's name in a sentence
MEDIA_TYPES: Final = ("application/json", "application/merge-patch+json")


class Body(Content):
    """Base of the models of request bodies that are of no use without HTTP."""


class OptionalBody(Body):
    """Base of those that may be left out: the defaults stand then."""


def json_renderer(info: Any) -> Callable[[Any, Mapping[str, Any]], bytes]:
    """Renderer factory: UUIDs and times as strings, times in UTC with a Z (RFC 3339)."""

    def render(value: Any, system: Mapping[str, Any]) -> bytes:
        request = system.get("request")
        if request is not None:
            request.response.content_type = "application/json"
        return orjson.dumps(value, option=orjson.OPT_UTC_Z)

    return render


def read_object(request: TenantRequest) -> dict[str, Any]:
    """The request's body as a JSON object.

    Raises ``ApiError``: 415 not said to be JSON, 400 not JSON, 422 not an object, or see ``find_fault``.
    """
    if not is_json(request.content_type):
        raise ApiError(415, "unsupported_media_type", "The body has to be JSON, with Content-Type: application/json.")
    body = request.body
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, "invalid_json", f"The body is not valid JSON: {error}.") from None
    if not isinstance(document, dict):
        raise invalid([("", "The body has to be a JSON object.")])
    if fault := find_fault(document):
        raise invalid([fault])
    refuse_repeated(body)
    return document


def is_json(content_type: str) -> bool:
    """Whether this is a media type that we read, without its parameters; in whatever case (RFC 9110, section 8.3.1)."""
    return content_type.strip().lower() in MEDIA_TYPES


def refuse_repeated(body: bytes) -> None:
    """Refuse a member that is given twice, since readers differ in which one counts (RFC 8259, section 4).

    The body has been read before and is known to be JSON. Raises ``ApiError`` 400.
    """
    # What a number means is not asked here; one of thousands of digits would be an error.
    json.loads(body, object_pairs_hook=_refuse_repeated, parse_int=len, parse_float=len)


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ApiError(
            400, "invalid_json", f"The member {visible(twice[:MOST_OF_A_NAME])} is given twice in one object."
        )


def validate(model: type[Model], document: Mapping[str, Any]) -> Model:
    """The document as a model. Raises ``ApiError`` 422 with a pointer to each field that is wrong."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise _as_problem(error) from None


def apply_patch(patch: Mapping[str, Any], before: Changed) -> Changed:
    """The content changed by a JSON merge patch (RFC 7396): null gives a member its default.

    Only what the patch names is checked. Raises ``ApiError`` 422 with a pointer to each member that is wrong, and to
    each that the content does not have, null or not.
    """
    names = {field.alias or name: name for name, field in type(before).model_fields.items()}
    if unknown := [name for name in patch if name not in names]:
        raise invalid([(f"/{_escape(name)}", "There is no such member.") for name in unknown[:MAX_ERRORS]])
    given = {names[name]: value for name, value in patch.items()}
    changes = {name: _merged(getattr(before, name), value) for name, value in given.items() if value is not None}
    try:
        return before.changed(changes, reset=given.keys() - changes.keys())
    except ValidationError as error:
        raise _as_problem(error) from None


def _as_problem(error: ValidationError) -> ApiError:
    found = error.errors(include_url=False, include_input=False)[:MAX_ERRORS]
    return invalid([(_pointer(each["loc"]), _sentence(each)) for each in found])


def invalid(errors: list[tuple[str, str]]) -> ApiError:
    """A 422 for these pairs of pointer and sentence."""
    listed = [{"pointer": pointer, "detail": detail} for pointer, detail in errors]
    return ApiError(422, "invalid", "The body is not as it should be.", listed)


def merge_patch(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The target changed by a JSON merge patch (RFC 7396): null removes a member."""
    merged = {name: value for name, value in target.items() if name not in patch}
    return merged | {name: _merged(target.get(name), value) for name, value in patch.items() if value is not None}


def _merged(current: Any, value: Any) -> Any:
    """The value of one member: objects are merged, everything else is replaced."""
    if not isinstance(value, dict):
        return value
    if isinstance(current, BaseModel):
        current = current.model_dump(by_alias=True)
    return merge_patch(current if isinstance(current, dict) else {}, value)


@dataclass(frozen=True, slots=True)
class _Place:
    """A value's place in a document: a chain up to the root, so that a pointer is only made where one is needed."""

    above: "_Place | None"
    name: str
    depth: int

    def pointer(self) -> str:
        """The JSON pointer (RFC 6901)."""
        names: list[str] = []
        place: _Place | None = self
        while place is not None and place.above is not None:
            names.append(f"/{_escape(place.name)}")
            place = place.above
        return "".join(reversed(names))


def find_fault(document: Any) -> tuple[str, str] | None:
    """The pointer and the sentence of the first value that no view takes: one with a NUL, or nested too deeply.

    PostgreSQL cannot store NUL (https://www.postgresql.org/docs/current/datatype-character.html).
    """
    pending: list[tuple[_Place, Any]] = [(_Place(None, "", 0), document)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, str) and "\0" in value:
            return place.pointer(), "The NUL character is not allowed."
        if not isinstance(value, list | dict):
            continue
        if place.depth >= MAX_DEPTH:
            return place.pointer(), f"Values may be nested {MAX_DEPTH} deep."
        if isinstance(value, dict) and any("\0" in name for name in value):
            return place.pointer(), "The NUL character is not allowed in names."
        items = value.items() if isinstance(value, dict) else enumerate(value)
        pending += [(_Place(place, str(name), place.depth + 1), item) for name, item in items if _may_fail(item)]
    return None


def _may_fail(value: Any) -> bool:
    return isinstance(value, list | dict) or (isinstance(value, str) and "\0" in value)


def _pointer(location: tuple[int | str, ...]) -> str:
    return "".join(f"/{_escape(str(part))}" for part in location)


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _sentence(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[0].upper() + message[1:] + ("" if message.endswith(".") else ".")
