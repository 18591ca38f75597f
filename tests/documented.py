"""Compare answers with the OpenAPI document: status, code, headers and JSON."""

import re
from functools import cache
from types import UnionType
from typing import Any, get_args
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from tenantapp.api.openapi.headers import ALWAYS, ANSWERED, OF_PROBLEMS
from tenantapp.api.openapi.operations import Operation
from tenantapp.api.openapi.problem_codes import problems_of
from tenantapp.tenancy.named_tenants import PREFIX, tenant_in

adapter = cache(TypeAdapter)


class Documented:
    """The operations of an application, and the answers that each may give."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._operations = [(_expression(each), each) for each in registry.openapi.operations]
        self._problems = cache(lambda operation_id: problems_of(self._by_id[operation_id], registry))
        self._by_id = {each.id: each for each in registry.openapi.operations}

    def find(self, method: str, path: str) -> Operation | None:
        """Return the operation that a request is answered by, or None if it is none of the document's."""
        path = unquote(path.partition("?")[0])
        if named := tenant_in(path):
            path = PREFIX + path[named.end() :]
        return next(
            (each for expression, each in self._operations if each.method == method and expression.fullmatch(path)),
            None,
        )

    def check(self, method: str, path: str, answer: Any) -> None:
        """Fail if the document does not have this answer of this request."""
        operation = self.find(method, path)
        if operation is None:
            return
        assert ALWAYS in answer.headers
        if answer.status_int >= 400:
            self._check_problem(operation, answer)
        elif answer.status_int == 304:
            assert "ETag" in operation.headers, operation.id
        else:
            _check_success(operation, answer, in_part="_fields=" in path)

    def codes(self, operation_id: str) -> dict[int, list[str]]:
        """Return the codes of an operation's problems by status."""
        found: dict[int, list[str]] = self._problems(operation_id)
        return found

    def _check_problem(self, operation: Operation, answer: Any) -> None:
        assert answer.json["code"] in self.codes(operation.id).get(answer.status_int, ()), (operation.id, answer.text)
        for status, names in OF_PROBLEMS.items():
            assert all((name in answer.headers) == (answer.status_int == status) for name in names), operation.id


def _expression(operation: Operation) -> re.Pattern[str]:
    ends = [re.escape(part) for part in re.split(r"{\w+}", operation.path)]
    parts = [f"({expression})" for expression in operation.parts.values()]
    return re.compile("".join(end + part for end, part in zip(ends, [*parts, ""], strict=True)))


def _check_success(operation: Operation, answer: Any, *, in_part: bool) -> None:
    made = operation.may_create and answer.status_int == 201
    assert made or answer.status_int == operation.status, operation.id
    sent = {name for name in ANSWERED if name in answer.headers} - {ALWAYS}
    assert sent == {*operation.headers, *(["Location"] if made else [])}, operation.id
    if operation.answer is None:
        assert answer.body == b"", operation.id
    elif operation.answer is bytes:
        assert answer.content_type == "application/octet-stream", operation.id
    else:
        assert answer.content_type == "application/json", operation.id
        # Of a list there are two models: the second is that of rows with some of their members.
        models = get_args(operation.answer) if isinstance(operation.answer, UnionType) else (operation.answer,)
        try:
            adapter(models[-1 if in_part else 0]).validate_json(answer.body, strict=True, extra="forbid")
        except ValidationError as error:
            # The client may ask for some of the members.
            if not in_part or any(each["type"] != "missing" for each in error.errors()):
                raise
