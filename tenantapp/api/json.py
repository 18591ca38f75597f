"""Read and write JSON with orjson, and make the checks that every body has to pass."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from tenantapp.api.problems import ApiError
from tenantapp.characters import visible
from tenantapp.content import Content
from tenantapp.json_types import dumps, written
from tenantapp.tenancy.request import TenantRequest

Model = TypeVar("Model", bound=BaseModel)
Changed = TypeVar("Changed", bound=Content)

MAX_DEPTH: Final = 32  # of values within values
MAX_CONTAINERS: Final = 50_000  # objects and arrays; to look through more of them takes too long
MAX_ERRORS: Final = 20  # named in one answer
MOST_OF_A_NAME: Final = 100  # characters of a member's name in a sentence
MEDIA_TYPES: Final = ("application/json", "application/merge-patch+json")


class Body(Content):
    """Base of the models of request bodies that no service takes."""


class OptionalBody(Body):
    """Base of the models of bodies that may be left out. The defaults hold then."""


def json_renderer(info: Any) -> Callable[[Any, Mapping[str, Any]], bytes]:
    """Return the JSON renderer. It writes UUIDs as strings, and times as strings in UTC with a Z (RFC 3339).

    Decimals are strings as well, and pydantic models are objects, see ``json_types.written``. None is an empty body if
    the view has declared no answer.
    """

    def render(value: Any, system: Mapping[str, Any]) -> bytes:
        request = system.get("request")
        if value is None and request is not None and request.response.status_int == HTTPStatus.NO_CONTENT:
            request.response.content_type = None
            return b""
        if request is not None:
            request.response.content_type = "application/json"
        return orjson.dumps(value, written, orjson.OPT_UTC_Z)

    return render


def read_object(request: TenantRequest) -> dict[str, Any]:
    """Return the request's body as a JSON object.

    Raises ``ApiError``: 415 if the media type is not JSON; 400 if the body is not JSON, or has a member twice; 422 if
    it is not an object, or if ``find_fault`` finds a fault.
    """
    if not is_json(request.content_type):
        raise ApiError(415, "unsupported_media_type", "Send the body as JSON, with Content-Type: application/json.")
    body = request.body
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, "invalid_json", f"The body is not valid JSON: {error}.") from None
    if not isinstance(document, dict):
        raise invalid([("", "The body must be a JSON object.")])
    if fault := find_fault(document):
        raise invalid([fault])
    refuse_repeated(body)
    return document


def is_json(content_type: str) -> bool:
    """Return whether this media type, without parameters, is one we read, in any case (RFC 9110, section 8.3.1)."""
    return content_type.strip().lower() in MEDIA_TYPES


def refuse_repeated(body: bytes) -> None:
    """Raise ``ApiError`` 400 if an object has a member twice: readers differ in which one counts (RFC 8259, section 4).

    The body must be valid JSON.
    """
    # Numbers are not parsed here: Python refuses to read an integer of thousands of digits.
    json.loads(body, object_pairs_hook=_refuse_repeated, parse_int=len, parse_float=len)


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ApiError(
            400, "invalid_json", f"The member {visible(twice[:MOST_OF_A_NAME])} is given twice in one object."
        )


def validate(model: type[Model], document: Mapping[str, Any]) -> Model:
    """Return the document as a model. Raises ``ApiError`` 422 with a pointer to each field that is wrong."""
    try:
        return model.model_validate_json(orjson.dumps(document))
    except ValidationError as error:
        raise _as_problem(error, document) from None


def apply_patch(patch: Mapping[str, Any], before: Changed) -> Changed:
    """Return the content changed by a JSON merge patch (RFC 7396). Null gives a member its default.

    Only the members that the patch names are checked. Raises ``ApiError`` 422 with a pointer to each member that is
    wrong, and to each that the content does not have, even if it is null.
    """
    names = _refuse_unknown(patch, type(before))
    given = {names[name]: value for name, value in patch.items()}
    changes = {name: _patched(getattr(before, name), value) for name, value in given.items() if value is not None}
    try:
        return before.changed_by_json(changes, reset=given.keys() - changes.keys())
    except ValidationError as error:
        raise _as_problem(error, changes) from None


def check_patch(patch: Mapping[str, Any], model: type[Content]) -> None:
    """Check a merge patch of content that there may be none of. Raises ``ApiError`` 422, as ``apply_patch`` does.

    The values are checked too, unless the model has validators of the whole, which need all of it.
    """
    if model.__pydantic_decorators__.model_validators:
        _refuse_unknown(patch, model)
    else:
        apply_patch(patch, model.model_construct(**dict.fromkeys(model.model_fields)))


def _refuse_unknown(patch: Mapping[str, Any], model: type[Content]) -> dict[str, str]:
    """Return the names of the model's fields, by those that they have in JSON. Raises ``ApiError`` 422 for others."""
    names = {field.alias or name: name for name, field in model.model_fields.items()}
    if unknown := [name for name in patch if name not in names]:
        raise invalid([(f"/{_escape(name)}", "There is no such member.") for name in unknown[:MAX_ERRORS]])
    return names


def _patched(current: Any, value: Any) -> Any:
    """Return the new value of a member, as JSON has it."""
    if not isinstance(value, dict):
        return value
    return _merged(orjson.loads(dumps(current)), value)


def _as_problem(error: ValidationError, document: Mapping[str, Any]) -> ApiError:
    found = error.errors(include_url=False, include_input=False)[:MAX_ERRORS]
    return invalid([(_pointer(each, document), _sentence(each)) for each in found])


def invalid(errors: list[tuple[str, str]]) -> ApiError:
    """Return a 422 with these pairs of JSON pointer (RFC 6901) and sentence."""
    listed = [{"pointer": pointer, "detail": detail} for pointer, detail in errors]
    return ApiError(422, "invalid", "The body is invalid; see errors.", listed)


def merge_patch(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the target changed by a JSON merge patch (RFC 7396). Null removes a member."""
    merged = {name: value for name, value in target.items() if name not in patch}
    return merged | {name: _merged(target.get(name), value) for name, value in patch.items() if value is not None}


def _merged(current: Any, value: Any) -> Any:
    """Return the new value of a member: objects are merged, other values are replaced."""
    if not isinstance(value, dict):
        return value
    return merge_patch(current if isinstance(current, dict) else {}, value)


@dataclass(frozen=True, slots=True)
class _Place:
    """A value's place in a document, as a chain to the root. The pointer is made only when it is needed."""

    above: "_Place | None"
    name: str
    depth: int

    def pointer(self) -> str:
        """Return the JSON pointer (RFC 6901)."""
        names: list[str] = []
        place: _Place | None = self
        while place is not None and place.above is not None:
            names.append(f"/{_escape(place.name)}")
            place = place.above
        return "".join(reversed(names))


def find_fault(document: Any) -> tuple[str, str] | None:
    """Return the JSON pointer of a value that no view accepts, and a sentence. Return None if there is none.

    No view accepts the NUL character, values nested too deeply, or too many objects and arrays. PostgreSQL cannot store
    NUL (https://www.postgresql.org/docs/current/datatype-character.html).
    """
    pending: list[tuple[_Place, Any]] = [(_Place(None, "", 0), document)]
    seen = 0
    while pending:
        place, value = pending.pop()
        if isinstance(value, str) and "\0" in value:
            return place.pointer(), "The NUL character is not allowed."
        if not isinstance(value, list | dict):
            continue
        if place.depth >= MAX_DEPTH:
            return place.pointer(), f"Values may be nested at most {MAX_DEPTH} levels deep."
        if isinstance(value, dict) and any("\0" in name for name in value):
            return place.pointer(), "The NUL character is not allowed in names."
        items = value.items() if isinstance(value, dict) else enumerate(value)
        within = [(name, item) for name, item in items if _may_fail(item)]
        seen += len(within)
        if seen > MAX_CONTAINERS:
            return place.pointer(), f"There may be at most {MAX_CONTAINERS} objects and arrays."
        pending += [(_Place(place, str(name), place.depth + 1), item) for name, item in within]
    return None


def _may_fail(value: Any) -> bool:
    return isinstance(value, list | dict) or (isinstance(value, str) and "\0" in value)


def _pointer(error: Any, document: Any) -> str:
    """Return the JSON pointer of an error. A location also has names that pydantic gives to the choices of a union."""
    pointer, place, location = "", document, error["loc"]
    for part in location:
        if isinstance(place, dict | list) and _has(place, part):
            pointer, place = f"{pointer}/{_escape(str(part))}", place[part]
        elif error["type"] == "missing" and part == location[-1]:
            pointer += f"/{_escape(str(part))}"
    return pointer


def _has(place: dict[str, Any] | list[Any], part: int | str) -> bool:
    return part in place if isinstance(place, dict) else isinstance(part, int) and part < len(place)


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _sentence(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[0].upper() + message[1:] + ("" if message.endswith(".") else ".")
