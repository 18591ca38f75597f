"""Answer errors with problem details (RFC 9457). This is the only place where exceptions become answers."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import orjson
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPException, HTTPForbidden
from pyramid.response import Response

from tenantapp.identity.policy import DeniedBecause
from tenantapp.json_types import written
from tenantapp.tenancy.request import TenantRequest

log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = "5"  # seconds
# Libraries repeat a request by themselves after an answer with Retry-After. This one may have been carried out.
OUTCOME_UNKNOWN: Final = "outcome_unknown"
AWAIT_BODY: Final = "tenantapp.await_body"  # in the environment of a request whose body our servers have not received


class ApiError(Exception):
    """A request is malformed. Only the API's own code raises this error, never a service.

    Each of ``errors`` has a ``pointer``, which is a JSON pointer (RFC 6901) into the request's body, and a ``detail``,
    which is a sentence.
    """

    def __init__(
        self, status: int, code: str, detail: str, errors: Sequence[Mapping[str, str]] = (), headers: Any = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.errors = list(errors)
        self.headers = list(headers)


@dataclass(frozen=True, slots=True)
class Problem:
    """How a class of exceptions is answered.

    ``pointer`` is the attribute of the exception that names the wrong field of the body. ``members`` are attributes
    that become further members of the answer. ``detail`` replaces the exception's own text. ``headers`` takes the
    request and the exception, and returns further headers.
    """

    status: int
    code: str
    pointer: str | None = None
    members: tuple[str, ...] = ()
    detail: str | None = field(default=None)
    headers: Callable[[TenantRequest, Any], Mapping[str, str]] | None = None


INTERNAL: Final = Problem(500, "internal_error", detail="The server failed. Its log has the cause, by request_id.")


class Problems:
    """The table from exception classes to problems. The nearest base class in the table counts."""

    def __init__(self) -> None:
        self._table: dict[type[BaseException], Problem] = {}

    def add(self, error: type[BaseException], problem: Problem) -> None:
        """Set the problem of ``error`` and its subclasses."""
        self._table[error] = problem

    def of(self, error: BaseException) -> Problem | None:
        """Return the problem of an exception, or None if the table has none."""
        return next((self._table[base] for base in type(error).__mro__ if base in self._table), None)

    def statuses(self) -> dict[str, int]:
        """Return the status of each code."""
        return {problem.code: problem.status for problem in self._table.values()}

    def members(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the further members of the answers with each code that has some."""
        return {problem.code: problem.members for problem in self._table.values() if problem.members}


def add_problem(config: Configurator, error: type[BaseException], status: int, code: str, **options: Any) -> None:
    """Map a class of exceptions to a status and a code: ``config.add_problem(NodeNotFound, 404, "not_found")``.

    This is a configuration directive. ``options`` are ``pointer``, ``members``, ``detail`` and ``headers`` of
    ``Problem``.
    """
    config.registry.problems.add(error, Problem(status, code, **options))


def problem_response(
    request: TenantRequest,
    status: int,
    code: str,
    detail: str,
    errors: Sequence[Mapping[str, str]] = (),
    members: Mapping[str, Any] | None = None,
) -> Response:
    """Return a response with a problem document. Caches do not store it. That of a part of a batch names the part."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "errors": list(errors),
        "request_id": request.request_id,
        **({} if request.part_index is None else {"part": request.part_index}),
        **(members or {}),
    }
    response = Response(orjson.dumps(body, written, orjson.OPT_UTC_Z), status=status, content_type=CONTENT_TYPE)
    response.cache_control = "no-store"
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = challenge(code)
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS) and code != OUTCOME_UNKNOWN:
        response.headers["Retry-After"] = RETRY_AFTER
    return response


def challenge(code: str) -> str:
    """Return the ``WWW-Authenticate`` of a 401 (RFC 9110, section 11.6.1; RFC 6750, section 3)."""
    return 'Bearer realm="tenantapp"' + (', error="invalid_token"' if code == "invalid_token" else "")


def exception_response(error: BaseException, request: TenantRequest) -> Response:
    """Return the response for any exception."""
    awaited = request.environ.get(AWAIT_BODY)
    if awaited is not None and awaited.is_wanted:
        return Response(status=HTTPStatus.CONTINUE.value)  # only for the log: the server receives the body
    if isinstance(error, HTTPForbidden) and isinstance(error.result, DeniedBecause):
        return _mapped_response(error.result.reason, request)
    if isinstance(error, ApiError):
        response = problem_response(request, error.status, error.code, str(error), error.errors)
        response.headers.update(error.headers)
        return response
    if isinstance(error, HTTPException):
        return _http_exception_response(error, request)
    return _mapped_response(error, request)


def _http_exception_response(error: HTTPException, request: TenantRequest) -> Response:
    if error.status_int < 400:
        return error
    status = HTTPStatus(error.status_int)
    return problem_response(request, status, status.name.lower(), error.detail or error.explanation or status.phrase)


def _mapped_response(error: BaseException, request: TenantRequest) -> Response:
    problem = request.registry.problems.of(error)
    if problem is None:
        log.error("Unexpected error in request %s", request.request_id, exc_info=error)
        problem = INTERNAL
    elif problem.status >= 500:
        request.registry.failure_log.write(request.request_id, error)
    detail = problem.detail or str(error)
    field = getattr(error, problem.pointer) if problem.pointer else None
    errors = [{"pointer": f"/{field}", "detail": detail}] if field is not None else []
    members = {name: getattr(error, name) for name in problem.members}
    response = problem_response(request, problem.status, problem.code, detail, errors, members)
    if problem.headers is not None:
        response.headers.update(problem.headers(request, error))
    return response
