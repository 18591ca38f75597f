"""Make the OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1.html)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import orjson

from tenantapp.api.openapi import headers
from tenantapp.api.openapi.operations import Operation, describe_tag, read_operations
from tenantapp.api.openapi.page import render
from tenantapp.api.openapi.problem_codes import problems_of, takes_no_body
from tenantapp.api.openapi.schemas import REFERENCE, Schema, Schemas, markdown, reachable
from tenantapp.api.views import BYTES, MergePatch
from tenantapp.identity.declared_rights import DeclaredRights
from tenantapp.identity.policy import PLAIN_COOKIE, SECURE_COOKIE
from tenantapp.identity.token_text import FORM
from tenantapp.sql.ids import INTEGER_TEXT, UUID_TEXT

OPENAPI: Final = "3.1.1"
DESCRIPTION: Final = (
    "Every answer is JSON, and every error is `application/problem+json` (RFC 9457) with a stable `code`. Sign in with "
    "`POST /api/v1/session`: the answer sets the cookie, and has the `csrf_token` that changes need in `X-CSRF-Token`. "
    "Every path has a second form that names the tenant of the request, such as `/api/v1/t/acme/nodes`."
)
SECURITY: Final = {
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": SECURE_COOKIE,
        "description": f"The session. Over plain http the cookie is called `{PLAIN_COOKIE}`.",
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": FORM,
        "description": "An API token, in place of the cookie. Changes need no `X-CSRF-Token` then.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": "X-CSRF-Token",
        "description": "The `csrf_token` of the session object, with every change.",
    },
}
BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
PROBLEM_TYPE: Final = "application/problem+json"
PART: Final = {"type": "integer", "description": "Of a batch: the index of the part that failed, from 0."}
KEYS: Final = {UUID_TEXT: {"type": "string", "format": "uuid"}, INTEGER_TEXT: {"type": "integer", "format": "int64"}}
RESOURCE: Final = "x-resource"  # in a tag: how a page shows the rows
PERMISSIONS: Final = "x-permissions"  # those that the domain has declared, in words
REGISTRATION: Final = "x-registration"  # whether people may register themselves: the setting identity.registration
CODES: Final = "x-problem-codes"  # those of the operation; the schema of a problem has all of its status


class Document:
    """The document of an application. It is made at its first use, because the application must be complete."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    @cached_property
    def operations(self) -> list[Operation]:
        """Return the operations of the API."""
        return read_operations(self._registry)

    @cached_property
    def content(self) -> dict[str, Any]:
        """Return the document. Raises ``UnknownProblem`` if a view declares a problem that no error has."""
        return _Builder(self._registry, self.operations).build()

    @cached_property
    def json(self) -> bytes:
        """Return the document as JSON for a file, which is the same whenever nothing has changed."""
        return orjson.dumps(self.content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @cached_property
    def compact(self) -> bytes:
        """Return the document as JSON without spaces and lines, of which clients have nothing to read."""
        return orjson.dumps(self.content)

    @cached_property
    def resources(self) -> bytes:
        """Return the part of the document that a page of the resources is drawn from, as JSON without spaces.

        It has the groups that describe a resource, with their calls and successful answers, and the models of these.
        """
        whole = self.content
        tags = [tag for tag in whole["tags"] if RESOURCE in tag]
        names = {tag["name"] for tag in tags}
        paths = {path: _calls_of(names, calls) for path, calls in whole["paths"].items()}
        paths = {path: calls for path, calls in paths.items() if calls}
        schemas = reachable([paths], whole["components"]["schemas"])
        return orjson.dumps(
            whole
            | {"tags": tags, "paths": paths, "components": whole["components"] | {"schemas": schemas, "responses": {}}}
        )

    @cached_property
    def page(self) -> bytes:
        """Return the page that shows the document to people."""
        return render(self.content).encode()


def _calls_of(tags: Collection[str], calls: Mapping[str, Any]) -> dict[str, Any]:
    return {
        method: call | {"responses": {status: each for status, each in call["responses"].items() if status < "3"}}
        for method, call in calls.items()
        if not set(tags).isdisjoint(call["tags"])
    }


class _Builder:
    """Makes one document."""

    def __init__(self, registry: Any, operations: Sequence[Operation]) -> None:
        self._registry, self._operations = registry, operations
        self._schemas = Schemas(operations)
        self._members: Mapping[str, tuple[str, ...]] = registry.problems.members()
        self._responses: dict[str, Any] = {}

    def build(self) -> dict[str, Any]:
        paths: dict[str, dict[str, Any]] = {}
        for operation in self._operations:
            paths.setdefault(operation.path, {})[operation.method.lower()] = self._operation(operation)
        responses = dict(sorted(self._responses.items()))
        components = self._schemas.components | self._problems()
        tags = sorted({operation.tag for operation in self._operations})
        return {
            "openapi": OPENAPI,
            "info": {"title": "tenantapp", "version": version("tenantapp"), "description": DESCRIPTION},
            "servers": [{"url": "/"}],
            "tags": [self._tag(tag) for tag in tags],
            PERMISSIONS: self._permissions(),
            REGISTRATION: self._registry.app_settings.identity_registration,
            "paths": paths,
            "components": {
                "schemas": reachable([paths, responses], components),
                "responses": responses,
                "parameters": headers.sent_headers(),
                "headers": headers.answered_headers(),
                "securitySchemes": SECURITY,
            },
        }

    def _tag(self, tag: str) -> dict[str, Any]:
        """Return a group of operations, with the members that the room of the views adds to it."""
        description = markdown(self._registry.tags.get(tag) or describe_tag(tag))
        extend = self._registry.tag_extensions.get(tag, dict)
        return {"name": tag, "description": description, **extend()}

    def _permissions(self) -> dict[str, Any]:
        rights: DeclaredRights = self._registry.declared_rights
        return {
            name: {"description": description, "translations": rights.translations.get(name, {})}
            for name, description in rights.permissions.items()
        }

    def _operation(self, operation: Operation) -> dict[str, Any]:
        summary, description = operation.documentation
        made: dict[str, Any] = {"operationId": operation.id, "tags": [operation.tag], "summary": markdown(summary)}
        if description:
            made["description"] = markdown(description)
        made["security"] = _security(operation)
        if parameters := [*_path_parameters(operation), *self._query_parameters(operation), *_sent(operation)]:
            made["parameters"] = parameters
        if operation.body is not None:
            made["requestBody"] = self._body(operation)
        made["responses"] = dict(self._answers(operation))
        return made

    def _query_parameters(self, operation: Operation) -> Iterator[dict[str, Any]]:
        fields = {field.alias or name: field for name, field in operation.query.model_fields.items()}
        for name, schema in self._schemas.query(operation).items():
            made: dict[str, Any] = {"name": name, "in": "query", "schema": schema}
            if fields[name].is_required():
                made["required"] = True
            if schema.get("type") == "array":
                made |= {"style": "form", "explode": False}  # separated by commas
            yield made

    def _body(self, operation: Operation) -> dict[str, Any]:
        if operation.is_streamed:
            return {"required": True, "content": {BYTES: BINARY}}
        media = {"schema": self._schemas.body(operation)}
        is_patch = operation.body is not None and issubclass(operation.body, MergePatch)
        types = ("application/merge-patch+json", "application/json") if is_patch else ("application/json",)
        return {"required": not takes_no_body(operation), "content": dict.fromkeys(types, media)}

    def _answers(self, operation: Operation) -> Iterator[tuple[str, Any]]:
        yield str(operation.status), self._success(operation, operation.status, operation.headers)
        if operation.may_create:
            yield "201", self._success(operation, 201, (*operation.headers, "Location"))
        if operation.has_ranges:
            yield "206", self._success(operation, 206, (*operation.headers, "Content-Range"))
        if operation.is_read_by_version:
            names = ("ETag", *operation.sometimes)
            yield "304", {"description": HTTPStatus.NOT_MODIFIED.phrase, "headers": _answered(names)}
        for status, codes in problems_of(operation, self._registry).items():
            yield str(status), self._problem(operation, status, codes)

    def _success(self, operation: Operation, status: int, names: Sequence[str]) -> dict[str, Any]:
        names = (*names, *operation.sometimes, *(["Idempotency-Replayed"] if operation.takes_idempotency_key else []))
        made: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": _answered(names)}
        if operation.answer is bytes:
            made["content"] = {operation.media_type: BINARY}
        elif operation.answer is not None:
            made["content"] = {"application/json": {"schema": self._schemas.answer(operation)}}
        return made

    def _problem(self, operation: Operation, status: int, codes: Sequence[str]) -> dict[str, Any]:
        """Return the reference to the answer of these problems. Operations with the same problems share one."""
        name = "-".join([str(status), *codes])
        sometimes = _referred({header: header for header in operation.sometimes})
        known = self._responses.get(name, {"headers": {}})["headers"]
        self._responses[name] = {
            "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}",
            "headers": dict(sorted((known | sometimes | _referred(headers.of_problems(status, codes))).items())),
            "content": {PROBLEM_TYPE: {"schema": {"$ref": REFERENCE.format(model=f"Problem{status}")}}},
            CODES: list(codes),
        }
        return {"$ref": f"#/components/responses/{name}"}

    def _problems(self) -> dict[str, Schema]:
        """Return the schema of the problems of each status, by name. Clients keep its name when a code is added."""
        codes: dict[int, set[str]] = {}
        for operation in self._operations:
            for status, found in problems_of(operation, self._registry).items():
                codes.setdefault(status, set()).update(found)
        return {f"Problem{status}": self._problem_schema(status, sorted(codes[status])) for status in codes}

    def _problem_schema(self, status: int, codes: Sequence[str]) -> Schema:
        members = sorted({member for code in codes for member in self._members.get(code, ())})
        # Without the status, which a generator of Python clients could not merge with that of every problem.
        fields: Schema = {
            "code": {"type": "string", "enum": list(codes)},
            "part": PART,
            **{member: {} for member in members},
        }
        narrowed = {"type": "object", "properties": fields, "required": ["code"]}
        return {"title": f"Problem{status}", "allOf": [self._schemas.problem, narrowed]}


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.is_public:
        return []
    by_cookie: dict[str, list[str]] = {"cookie": [], "csrf": []} if operation.changes else {"cookie": []}
    return [by_cookie, {"token": []}] if operation.takes_tokens else [by_cookie]


def _path_parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name, expression in operation.parts.items():
        schema = KEYS.get(expression) or {"type": "string", "pattern": f"^{expression}$"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _sent(operation: Operation) -> Iterator[dict[str, Any]]:
    names = ["XTenant"] if operation.heeds_tenant else []
    names += ["IdempotencyKey"] if operation.takes_idempotency_key else []
    names += ["IfMatch", "IfNoneMatch"] if operation.is_versioned else []
    names += ["Range", "IfRange"] if operation.has_ranges else []
    names += ["XPosition"] if operation.heeds_position else []
    for name in names:
        yield {"$ref": f"#/components/parameters/{name}"}


def _answered(names: Sequence[str]) -> dict[str, Any]:
    return _referred({name: name for name in (*names, headers.ALWAYS)})


def _referred(components: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{components[name]}"} for name in sorted(components)}
