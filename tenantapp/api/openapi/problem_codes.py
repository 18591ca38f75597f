"""Which problems can an operation answer? Those that its view declares, and those of its nature.

The nature of an operation is its method, its permission, its body and its path. What the code around every view
answers belongs here, so that no view has to declare it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pyramid.exceptions import ConfigurationError

from tenantapp.api.json import OptionalBody
from tenantapp.api.openapi.operations import Operation
from tenantapp.identity.impersonation_guard import MANAGING, NOT_IMPERSONATED
from tenantapp.identity.permissions import NOT_FOR_TOKENS, Permission

# The codes of ``ApiError`` and of ``problem_response``, which the table of problems does not have.
API_CODES: Final[Mapping[str, int]] = {
    "bad_request": 400,
    "idempotency_unsupported": 400,
    "invalid_idempotency_key": 400,
    "invalid_json": 400,
    "invalid_query": 400,
    "unexpected_body": 400,
    "unknown_host": 400,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "answer_not_kept": 409,
    "version_mismatch": 412,
    "batch_too_large": 413,
    "body_too_large": 413,
    "unsupported_encoding": 415,
    "unsupported_media_type": 415,
    "range_not_satisfiable": 416,
    "internal_error": 500,
    # Of the room ``limiting``, which turns away any request.
    "too_many_requests": 429,
    "overloaded": 503,
    "storage_full": 409,
}


class UnknownProblem(ConfigurationError):
    """A view declares a problem that no error has."""


def problems_of(operation: Operation, registry: Any) -> dict[int, list[str]]:
    """Return the codes of an operation's problems by status. Raises ``UnknownProblem``."""
    statuses = {**registry.problems.statuses(), **API_CODES}
    found: dict[int, set[str]] = {}
    for code in (*_natural(operation), *operation.problems, *_of_parts(operation, registry)):
        if code not in statuses:
            raise UnknownProblem(
                f"The view of {operation.method} {operation.path} declares the problem {code}, which no error has"
            )
        found.setdefault(statuses[code], set()).add(code)
    return {status: sorted(found[status]) for status in sorted(found)}


def _of_parts(operation: Operation, registry: Any) -> Iterator[str]:
    """Yield the codes of the problems that the parts of a batch may have."""
    if not operation.has_parts:
        return
    yield from ("bad_request", "not_found", "method_not_allowed")
    for part in registry.openapi.operations:
        if part.may_be_part:
            yield from (*_natural(part), *part.problems)


def _natural(operation: Operation) -> Iterator[str]:
    """Yield the codes of the code around the view."""
    yield from ("unknown_host", "invalid_query", "body_too_large", "internal_error")
    yield from ("busy", "service_unavailable", "too_many_requests", "overloaded")
    if operation.parts:
        yield from ("bad_request", "not_found")
    if operation.answer not in (None, bytes):
        yield "not_acceptable"
    yield from _of_body(operation)
    if "ETag" in operation.headers and not operation.changes:
        yield "version_mismatch"
    if operation.has_ranges:
        yield "range_not_satisfiable"
    if operation.changes:
        yield from ("csrf_failed", "conflict", "outcome_unknown", "invalid_idempotency_key")
        if operation.takes_idempotency_key:
            yield from ("answer_not_kept", "idempotency_running", "idempotency_mismatch")
        else:
            yield "idempotency_unsupported"
    if not operation.is_public:
        yield from ("not_signed_in", "invalid_token", "tenant_mismatch")
    if operation.fresh:
        yield "reauthentication_required"
    yield from _of_impersonation(operation)
    if operation.permission in NOT_FOR_TOKENS:
        yield "token_not_allowed"
    if operation.permission == Permission.FLEET_OPERATE:
        yield from (
            "operator_required",
            "second_factor_required",
            "fleet_failed",
            "history_unusable",
            "server_unavailable",
            "store_unavailable",
        )
    if operation.permission == Permission.OWN_ACCOUNT:
        yield "own_sign_in_required"
    if operation.is_for_tenant:
        if operation.changes and operation.writes == "tenant" and operation.method != "DELETE":
            yield "storage_full"
        yield from ("permission_denied", "tenant_forbidden", "tenant_suspended", "tenant_required")
        yield from ("second_factor_required", "single_sign_on_required", "own_sign_in_required")
        yield from ("tenant_unavailable", "tenant_migrating", "tenant_outdated")


def _of_impersonation(operation: Operation) -> Iterator[str]:
    """Yield what an operator who works as somebody else may be told, who is no operator meanwhile."""
    if operation.is_public or operation.impersonated or operation.permission == Permission.FLEET_OPERATE:
        return
    if operation.changes:
        yield "impersonation_read_only"
    managed = operation.changes and operation.permission in MANAGING
    proved = operation.fresh or "reauthentication_required" in operation.problems
    if operation.permission in NOT_IMPERSONATED or managed or proved:
        yield "not_while_impersonating"


def _of_body(operation: Operation) -> Iterator[str]:
    if operation.body is None:
        yield "unexpected_body"
        return
    if operation.is_streamed:
        yield from ("bad_request", "unsupported_media_type", "unsupported_encoding")
        return
    yield from ("invalid_json", "unsupported_media_type", "unsupported_encoding", "invalid")


def takes_no_body(operation: Operation) -> bool:
    """Return whether the body may be left out."""
    return operation.body is None or issubclass(operation.body, OptionalBody)
