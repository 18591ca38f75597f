"""Compare answers with the OpenAPI document, in the tests of a domain: status, code, headers and JSON.

    documented = Documented(app)
    answer = TestApp(app).get("/api/v1/books", expect_errors=True)
    documented.check("GET", "/api/v1/books", answer)

The document is made from what the views declare. A request does not compare its answer with that, because the database
writes much of it as JSON. So tests do: let the client of your tests check each answer.
"""

import re
from collections.abc import Collection, Sequence
from functools import cache
from types import UnionType
from typing import Any, get_args
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from tenantapp.api.openapi.headers import (
    ALWAYS,
    ANSWERED,
    GENERAL,
    OF_PROBLEMS,
    SOMETIMES,
    of_problem,
    sometimes_of_problems,
)
from tenantapp.api.openapi.operations import Operation
from tenantapp.api.openapi.problem_codes import problems_of
from tenantapp.tenancy.named_tenants import PREFIX, tenant_in
from tenantapp.tenancy.replica_reads import PLAIN_COOKIE

adapter = cache(TypeAdapter)


class NotDocumented(AssertionError):
    """The document does not have this answer. Declare what the view answers, or answer what it declares."""

    def __init__(self, operation: Operation, reason: str) -> None:
        super().__init__(f"{operation.method} {operation.path}: {reason}")


class Documented:
    """The operations of an application, and the answers that each may give. Make one for all tests.

    Headers that the document never names may come with any answer, as a tween of yours may add some. With ``strict``
    they may not.
    """

    strict = False

    def __init__(self, app: Any) -> None:
        self._registry = app.registry
        operations: Sequence[Operation] = self._registry.openapi.operations
        self._operations = [(_expression(each), each) for each in operations]
        self._by_id = {each.id: each for _, each in self._operations}
        self._codes: dict[str, dict[int, list[str]]] = {}

    def find(self, method: str, path: str) -> Operation | None:
        """Return the operation that a request is answered by, or None if it is none of the document's."""
        path = unquote(path.partition("?")[0])
        if named := tenant_in(path):
            path = PREFIX + path[named.end() :]
        for expression, each in self._operations:
            if each.method == method and expression.fullmatch(path):
                return each
        return None

    def check(self, method: str, path: str, answer: Any) -> None:
        """Raise ``NotDocumented`` unless the document has this answer to this request.

        ``path`` is that of the request, with its query string. ``answer`` is a response of WebOb or WebTest. Requests
        that no operation of the document answers pass.
        """
        operation = self.find(method, path)
        if operation is None:
            return
        _check(operation, ALWAYS in answer.headers, f"no {ALWAYS}")
        if answer.status_int >= 400:
            self._check_problem(operation, answer)
        elif answer.status_int == 304:
            _check(operation, "ETag" in operation.headers, "304, and the view declares no ETag")
            self._check_no_others(operation, answer, {"ETag", *operation.sometimes})
        else:
            self._check_headers(operation, answer)
            _check_content(operation, answer, in_part="_fields=" in path)

    def codes(self, operation_id: str) -> dict[int, list[str]]:
        """Return the codes of an operation's problems by status."""
        if operation_id not in self._codes:
            self._codes[operation_id] = problems_of(self._by_id[operation_id], self._registry)
        return self._codes[operation_id]

    def _check_problem(self, operation: Operation, answer: Any) -> None:
        codes = self.codes(operation.id).get(answer.status_int, ())
        code = answer.json["code"]
        _check(operation, code in codes, f"{answer.status_int} {code}: {answer.text}")
        sent = {name for names in OF_PROBLEMS.values() for name in names if name in answer.headers}
        _compare(operation, "headers", sent, of_problem(answer.status_int, code))
        self._check_no_others(operation, answer, {*sent, *sometimes_of_problems([code]), *operation.sometimes})

    def _check_headers(self, operation: Operation, answer: Any) -> None:
        made = operation.may_create and answer.status_int == 201
        partly = operation.has_ranges and answer.status_int == 206
        _check(
            operation,
            made or partly or answer.status_int == operation.status,
            f"{answer.status_int}, not {operation.status}",
        )
        sent = {name for name in ANSWERED if name in answer.headers} - {ALWAYS}
        if all(PLAIN_COOKIE in cookie.partition("=")[0] for cookie in answer.headers.getall("Set-Cookie")):
            sent -= {"Set-Cookie"}  # that of positions may come with any answer, on servers with replicas
        more = ["Location"] if made else ["Content-Range"] if partly else []
        declared = {*operation.headers, *more}
        _compare(operation, "headers", sent, declared - set(SOMETIMES))
        repeated = ["Idempotency-Replayed"] if operation.takes_idempotency_key else []
        self._check_no_others(operation, answer, {*declared, *operation.sometimes, *repeated})

    def _check_no_others(self, operation: Operation, answer: Any, documented: Collection[str]) -> None:
        """Check that an answer has no headers but those that are documented, and those that any answer may have."""
        known = {name.lower() for name in (*documented, *GENERAL, ALWAYS, "Set-Cookie")}
        ours = {name.lower() for name in (*ANSWERED, *SOMETIMES)}
        found = {name for name in answer.headers if self.strict or name.lower() in ours}
        others = sorted(name for name in found if name.lower() not in known)
        _check(operation, not others, f"not documented: {', '.join(others)}")


def _expression(operation: Operation) -> re.Pattern[str]:
    ends = [re.escape(part) for part in re.split(r"{\w+}", operation.path)]
    parts = [f"({expression})" for expression in operation.parts.values()]
    return re.compile("".join(end + part for end, part in zip(ends, [*parts, ""], strict=True)))


def _check_content(operation: Operation, answer: Any, *, in_part: bool) -> None:
    if operation.answer is None:
        _check(operation, answer.body == b"", "content, and the view declares none")
        return
    type_ = operation.media_type if operation.answer is bytes else "application/json"
    _compare(operation, "Content-Type", {answer.content_type}, {type_})
    if operation.answer is bytes:
        return
    # Of a list there are two models: the second is that of rows with some of their members.
    models = get_args(operation.answer) if isinstance(operation.answer, UnionType) else (operation.answer,)
    try:
        adapter(models[-1 if in_part else 0]).validate_json(answer.body, strict=True, extra="forbid")
    except ValidationError as error:
        # The client may ask for some of the members.
        if not in_part or any(each["type"] != "missing" for each in error.errors()):
            raise NotDocumented(operation, str(error)) from error


def _compare(operation: Operation, what: str, found: Collection[str], declared: Collection[str]) -> None:
    wrong = f"{what} {', '.join(sorted(found)) or 'none'}, declared {', '.join(sorted(declared)) or 'none'}"
    _check(operation, set(found) == set(declared), wrong)


def _check(operation: Operation, passes: bool, reason: str) -> None:
    if not passes:
        raise NotDocumented(operation, reason)
