"""Make the JSON schemas of the models of bodies, queries and answers."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from tenantapp.answers import Answer
from tenantapp.api.openapi.operations import Operation
from tenantapp.api.views import MergePatch
from tenantapp.json_types import DECIMAL, LOCAL_TIME, TIME

REFERENCE: Final = "#/components/schemas/{model}"
GENERIC: Final = re.compile(r"(\w+)\[(\w+)\]")
Schema = dict[str, Any]
ANY_OBJECT: Final[Schema] = {"type": "object"}
NULL: Final[Schema] = {"type": "null"}


class ProblemPlace(Answer):
    """A place in the body that is wrong. ``pointer`` is a JSON pointer (RFC 6901)."""

    pointer: str
    detail: str


class Problem(Answer):
    """An error (RFC 9457). Decide by ``code``, which is stable. ``detail`` is for people.

    ``request_id`` is also in the server's log. Some codes have further members.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[ProblemPlace]
    request_id: str


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out the titles of fields, which repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def normalize_name(self, name: str) -> str:
        """Return the name of a component: ``NodePage`` for ``Page[Node]``."""
        return super().normalize_name(GENERIC.sub(r"\2\1", name))

    def decimal_schema(self, schema: Any) -> Any:
        """Describe a decimal as it is read and written: as text, and in a body as an integer too."""
        text: Schema = {"type": "string", "format": "decimal", "pattern": f"^{DECIMAL.pattern}$"}
        return text if self.mode == "serialization" else {"anyOf": [text, {"type": "integer"}]}

    def time_schema(self, schema: Any) -> Any:
        """Describe a time of day, which has no time zone (https://spec.openapis.org/registry/format/)."""
        return {"type": "string", "format": "time-local", "pattern": f"^{TIME.pattern}$"}

    def datetime_schema(self, schema: Any) -> Any:
        """Describe a time; one without a time zone is no ``date-time``."""
        if schema.get("tz_constraint") == "naive":
            return {"type": "string", "format": "date-time-local", "pattern": f"^{LOCAL_TIME.pattern}$"}
        return super().datetime_schema(schema)


class Schemas:
    """The schemas of the models of all operations. ``components`` has all that have a name."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        inputs: list[tuple[tuple[str, str], JsonSchemaMode, TypeAdapter[Any]]] = [
            (("", "answer"), "serialization", TypeAdapter(Problem))
        ]
        for operation in operations:
            for use, mode, model in _models(operation):
                inputs.append(((operation.id, use), mode, TypeAdapter(model)))
        made, rest = TypeAdapter.json_schemas(inputs, ref_template=REFERENCE, schema_generator=_WithoutTitles)
        self._made = {key: schema for (key, _), schema in made.items()}
        found = rest.get("$defs", {}).items()
        # Of a generic model, pydantic's title is not its name.
        self.components = {name: _written(schema, name) for name, schema in found}

    @property
    def problem(self) -> Schema:
        """Return the schema of every error."""
        return self._made["", "answer"]

    def body(self, operation: Operation) -> Schema:
        """Return the schema of an operation's body."""
        made = self._made.get((operation.id, "body"), ANY_OBJECT)
        is_patch = operation.body is not None and issubclass(operation.body, MergePatch)
        return self._patch(made) if is_patch and "$ref" in made else made

    def answer(self, operation: Operation) -> Schema:
        """Return the schema of an operation's JSON answer."""
        return self._made[operation.id, "answer"]

    def query(self, operation: Operation) -> dict[str, Schema]:
        """Return the schemas of an operation's query parameters by name. A parameter is left out, never null."""
        schema = self._resolved(self._made[operation.id, "query"])
        return {name: _listed(_without_null(part)) for name, part in schema.get("properties", {}).items()}

    def _resolved(self, schema: Schema) -> Schema:
        return self.components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema

    def _patch(self, schema: Schema) -> Schema:
        """Return the reference to the merge patch of an object: no field is required, and null gives a default."""
        name = schema["$ref"].rpartition("/")[2]
        patch = f"{name}Patch"
        if patch not in self.components:
            content = self.components[name]
            required = content.get("required", ())
            fields = content["properties"].items()
            self.components[patch] = {
                "title": patch,
                "description": f"A merge patch (RFC 7396) of {name}. Null gives a field its default.",
                "type": "object",
                "additionalProperties": False,
                "properties": {field: self._patched(part, field not in required) for field, part in fields},
                **_patch_examples(content),
            }
        return {"$ref": REFERENCE.format(model=patch)}

    def _patched(self, part: Schema, has_default: bool) -> Schema:
        part = {word: value for word, value in part.items() if word != "default"}
        if "$ref" in part and "properties" in self._resolved(part):
            part = self._patch(part)
        if not has_default or NULL in part.get("anyOf", ()):
            return part
        return {"anyOf": [part, NULL]}


def _written(schema: Schema, name: str) -> Schema:
    """Return a component with its own name as title, and with its description in Markdown."""
    title = {"title": name} if "title" in schema else {}
    description = {"description": markdown(schema["description"])} if "description" in schema else {}
    return schema | title | description


def _models(operation: Operation) -> Iterator[tuple[str, JsonSchemaMode, Any]]:
    """Yield the use, the mode and the type of each model of an operation."""
    yield "query", "validation", operation.query
    if operation.answer not in (None, bytes):
        yield "answer", "serialization", operation.answer
    body = operation.body
    content = body.content() if body is not None and issubclass(body, MergePatch) else body
    if content is not None and not operation.is_streamed:
        yield "body", "validation", content


def _patch_examples(content: Schema) -> Schema:
    """Return the examples of a merge patch: the last field of each example of the content."""
    given = [dict(list(each.items())[-1:]) for each in content.get("examples", ())]
    return {"examples": given} if given else {}


def _without_null(part: Schema) -> Schema:
    """Return the schema without null, and without the default null."""
    part = {word: value for word, value in part.items() if (word, value) != ("default", None)}
    if "anyOf" not in part:
        return part
    choices = [choice for choice in part.pop("anyOf") if choice != NULL]
    return {**choices[0], **part} if len(choices) == 1 else {"anyOf": choices, **part}


def _listed(part: Schema) -> Schema:
    """Return the schema of a list with its bounds as those of a list. Pydantic gives those of a text."""
    if part.get("type") != "array":
        return part
    return {word.replace("Length", "Items"): value for word, value in part.items()}


def markdown(docstring: str) -> str:
    """Return a docstring as Markdown: reStructuredText has two backticks around code."""
    return docstring.replace("``", "`")


def reachable(document: Any, components: dict[str, Schema]) -> dict[str, Schema]:
    """Return the components that a part of the document refers to, directly or not, by name."""
    found: dict[str, Schema] = {}
    pending = [document]
    while pending:
        for name in _references(pending.pop()):
            if name not in found:
                found[name] = components[name]
                pending.append(found[name])
    return dict(sorted(found.items()))


def _references(part: Any) -> Iterator[str]:
    match part:
        case {"$ref": str(reference)} if reference.startswith(REFERENCE.format(model="")):
            yield reference.rpartition("/")[2]
        case dict():
            for value in part.values():
                yield from _references(value)
        case list():
            for value in part:
                yield from _references(value)
