"""Show the document to people: one page of HTML, made from the document and nothing else."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from tenantapp.api.openapi.markup import Html, element, prose, table, together

SCHEMA_WORDS: Final = {
    "format": "{}",
    "pattern": "matches {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "default": "{} by default",
}
STYLE: Final = "/api/docs.css"
SCRIPT: Final = "/api/docs.js"


def render(document: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document that ``Document`` has made."""
    return "<!doctype html>\n" + element("html", _head(document), _body(_Page(document)), lang="en")


def _head(document: Mapping[str, Any]) -> Html:
    return element(
        "head",
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"{document['info']['title']} API"),
        Html(f'<link rel="stylesheet" href="{STYLE}"><script src="{SCRIPT}" defer></script>'),
    )


def _body(page: "_Page") -> Html:
    return element(
        "body",
        element("a", "Skip to the calls", href="#calls", class_="skip"),
        element("header", *page.introduction()),
        element("nav", *page.contents(), aria_label="Calls"),
        element("main", *page.calls(), *page.models(), id="calls"),
    )


class _Page:
    """The parts of the page."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._components: Mapping[str, Any] = document["components"]
        self._operations = [
            (path, method, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    def introduction(self) -> Iterator[Html]:
        info = self._document["info"]
        yield element("h1", f"{info['title']} API ", element("small", info["version"]))
        yield element("p", prose(info["description"]))
        link = element("a", "the OpenAPI document", href="/api/v1/openapi.json")
        yield element("p", "Programs read ", link, ", from which they make clients.")

    def contents(self) -> Iterator[Html]:
        """Yield the filter, which the script shows, and the list of calls."""
        label = element("label", "Filter the calls", for_="filter")
        field = Html('<input id="filter" type="search" autocomplete="off">')
        count = element("p", id="count", role="status")
        yield element("div", label, field, count, id="filtering", hidden="hidden")
        for tag in self._document["tags"]:
            links = [
                element("li", element("a", *_call(path, method), href=f"#{each['operationId']}"))
                for path, method, each in self._of(tag)
            ]
            yield element("h2", element("a", tag["name"], href=f"#tag-{tag['name']}"))
            yield element("ul", *links)
        yield element("h2", element("a", "models", href="#models"))

    def calls(self) -> Iterator[Html]:
        for tag in self._document["tags"]:
            yield element("h2", tag["name"], id=f"tag-{tag['name']}")
            yield element("p", prose(tag["description"]))
            for path, method, operation in self._of(tag):
                yield element("article", *self._operation(path, method, operation), id=operation["operationId"])

    def models(self) -> Iterator[Html]:
        yield element("h2", "models", id="models")
        for name, schema in self._components["schemas"].items():
            yield element("section", *self._model(name, schema), id=f"model-{name}", class_="model")

    def _of(self, tag: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
        return [each for each in self._operations if tag["name"] in each[2]["tags"]]

    def _operation(self, path: str, method: str, operation: Mapping[str, Any]) -> Iterator[Html]:
        yield element("h3", *_call(path, method))
        yield element("p", prose(operation["summary"]))
        for paragraph in operation.get("description", "").split("\n\n"):
            if paragraph:
                yield element("p", prose(paragraph))
        yield element("p", "Id: ", element("code", operation["operationId"]), ". ", _security(operation["security"]))
        parameters = [self._resolved(each) for each in operation.get("parameters", ())]
        if parameters:
            yield table("Parameters", ("name", "in", "type", "meaning"), [_parameter(each) for each in parameters])
        if body := operation.get("requestBody"):
            yield self._request_body(body)
        answers = [self._answer(status, self._resolved(each)) for status, each in operation["responses"].items()]
        yield table("Answers", ("status", "answer", "headers"), answers)

    def _request_body(self, body: Mapping[str, Any]) -> Html:
        types = together(*_joined([element("code", media) for media in body["content"]], " or "))
        (schema, *_) = [media["schema"] for media in body["content"].values()]
        needed = "" if body.get("required") else ", may be left out"
        return element("p", "Body: ", _type(schema), f"{needed}, as ", types, ".")

    def _answer(self, status: str, answer: Mapping[str, Any]) -> tuple[str, ...]:
        types = [_type(media["schema"]) for media in answer.get("content", {}).values()]
        shown = together(prose(answer["description"]), *(together(". ", each) for each in types))
        return status, shown, ", ".join(answer.get("headers", ()))

    def _model(self, name: str, schema: Mapping[str, Any]) -> Iterator[Html]:
        yield element("h3", name)
        if "description" in schema:
            yield element("p", prose(schema["description"]))
        parts = [self._resolved(part) for part in schema.get("allOf", [schema])]
        fields = {field: part for each in parts for field, part in each.get("properties", {}).items()}
        required = {field for each in parts for field in each.get("required", ())}
        if fields:
            rows = [
                (field, _type(part), "required" if field in required else "optional", _limits(part))
                for field, part in fields.items()
            ]
            yield table(f"Fields of {name}", ("field", "type", "needed", "limits"), rows)
        else:
            yield element("p", _type(schema))
        for example in schema.get("examples", ()):
            written = orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()
            yield element("div", "Example:", element("pre", element("code", written)), class_="scroll")

    def _resolved(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" not in part:
            return part
        kind, name = part["$ref"].split("/")[-2:]
        found: Mapping[str, Any] = self._components[kind][name]
        return found


def _call(path: str, method: str) -> tuple[Html, str, Html]:
    return element("span", method.upper(), class_=f"method {method}"), " ", element("code", path)


def _security(security: list[Mapping[str, Any]]) -> str:
    if not security:
        return "Nobody needs to be signed in."
    return "Needs " + ", or ".join(" and ".join(schemes) for schemes in security) + "."


def _parameter(parameter: Mapping[str, Any]) -> tuple[str, ...]:
    schema = parameter["schema"]
    needed = "required" if parameter.get("required") and parameter["in"] != "path" else ""
    meaning = together(*_joined([prose(parameter.get("description", "")), Html(needed), _limits(schema)], " "))
    return parameter["name"], parameter["in"], _type(schema), meaning


def _type(schema: Mapping[str, Any]) -> Html:
    """Return the type in words, with links to models."""
    match schema:
        case {"$ref": str(reference)}:
            name = reference.rpartition("/")[2]
            return element("a", name, href=f"#model-{name}")
        case {"anyOf": choices} | {"allOf": choices}:
            return together(*_joined([_type(choice) for choice in choices], " or "))
        case {"enum": values}:
            return together(*_joined([element("code", str(value)) for value in values], ", "))
        case {"const": value}:
            return element("code", str(value))
        case {"type": "array", "items": items}:
            return together("list of ", _type(items))
        case {"type": str(name)}:
            return together(name)
    return together("anything")


def _limits(schema: Mapping[str, Any]) -> Html:
    parts = [schema, *(choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null")]
    said = [
        words.format(part[word])
        for part in parts
        for word, words in SCHEMA_WORDS.items()
        if word in part and part[word] not in (None, "", [])
    ]
    return together(", ".join(said))


def _joined(parts: list[Html], between: str) -> Iterator[Html]:
    for place, part in enumerate(filter(None, parts)):
        if place:
            yield together(between)
        yield part
