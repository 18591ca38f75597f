"""Bodies that the document of the API accepts, for tests that call every route."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

REFERENCE: Final = "#/components/schemas/"
MARKED_FROM: Final = 20  # characters: a shorter text may have to be one of few words
OF_FORMATS: Final = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T09:30:00Z",
    "time": "09:30:00",
    "duration": "PT1H",
    "email": "somebody@example.org",
    "uri": "https://example.org/",
}


class Samples:
    """Makes bodies of the models in a document.

    ``references`` returns the id that a member has, given its name.
    """

    def __init__(self, document: Mapping[str, Any], references: Callable[[str], str | int | None]) -> None:
        self._document = document
        self._references = references

    def body(self, method: str, path: str, *, marked: bool) -> Any:
        """Return a body for an operation, or None if it takes no JSON.

        It is the model's example, or else made of the members that the model requires. If it is ``marked``, each text
        of it that may be anything has a word that no other body has.
        """
        operation = self._document["paths"][path][method.lower()]
        content = operation.get("requestBody", {}).get("content", {})
        schema = next((each["schema"] for kind, each in content.items() if kind.endswith("json")), None)
        if schema is None:
            return None
        return self._value(schema, "", marked)

    def _value(self, schema: Mapping[str, Any], name: str, marked: bool) -> Any:
        schema = self._resolved(schema)
        if "anyOf" in schema or "oneOf" in schema:
            choices = schema.get("anyOf") or schema["oneOf"]
            return self._value({**choices[0], "examples": schema.get("examples", [])}, name, marked)
        example = next(iter(schema.get("examples", ())), schema.get("example"))
        if schema.get("type") == "object" or "properties" in schema:
            return self._object(schema, example, marked)
        if schema.get("format") == "uuid":
            return self._references(name) or example
        if schema.get("type") == "integer" and name.endswith("_id"):
            return self._references(name) or example or _plain(schema)
        if schema.get("type") == "string":
            return _text(schema, example, marked)
        return example if example is not None else _plain(schema)

    def _object(self, schema: Mapping[str, Any], example: Any, marked: bool) -> dict[str, Any]:
        members = schema.get("properties", {})
        given = example if isinstance(example, dict) else {}
        wanted = given.keys() & members.keys() if given else schema.get("required", ())
        return {
            name: self._value(self._with_example(members[name], given.get(name)), name, marked)
            for name in members
            if name in wanted
        }

    def _with_example(self, schema: Mapping[str, Any], example: Any) -> Mapping[str, Any]:
        resolved = self._resolved(schema)
        return resolved if example is None else {**resolved, "examples": [example]}

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            known = self._document["components"]["schemas"][schema["$ref"].removeprefix(REFERENCE)]
            schema = {**known, **{name: value for name, value in schema.items() if name != "$ref"}}
        return schema


def _text(schema: Mapping[str, Any], example: Any, marked: bool) -> Any:
    if "const" in schema or "enum" in schema:
        return example if example is not None else schema.get("const", schema.get("enum", [""])[0])
    if schema.get("format") in OF_FORMATS:
        return example if example is not None else OF_FORMATS[schema["format"]]
    longest = schema.get("maxLength", MARKED_FROM)
    if not marked or longest < MARKED_FROM or "pattern" in schema:
        return example if example is not None else "x" * max(1, schema.get("minLength", 1))
    mark = f"leak-{secrets.token_hex(5)}"
    beginning = "" if example is None else f"{str(example)[: longest - len(mark) - 1]} "
    return beginning + mark


def _plain(schema: Mapping[str, Any]) -> Any:
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
    return {"boolean": False, "array": []}.get(str(kind))
