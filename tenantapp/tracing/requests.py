"""Make a span of each request, and of what it waits for.

Names and attributes are those of OpenTelemetry's semantic conventions for HTTP and for databases (version 1.44):
https://opentelemetry.io/docs/specs/semconv/http/http-spans/
https://opentelemetry.io/docs/specs/semconv/database/database-spans/
The path and the query of a request are left out, because they may have a customer's words, or a one-time link.
"""

import re
from functools import cache
from time import time_ns
from typing import Any, Final

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.semconv.attributes import db_attributes, error_attributes, http_attributes, url_attributes
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tenantapp.sql.statement_text import statement_text
from tenantapp.sql.waits import CONNECTING, USER_DATABASE, Waits
from tenantapp.tenancy.observing import Finish, Served
from tenantapp.tenancy.request import SAFE_METHODS
from tenantapp.tracing.process import TENANT, ProcessTracing, fail

METHODS: Final = frozenset({*SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE"})
OTHER_METHOD: Final = "_OTHER"  # as the conventions call methods that are not known
MOST_WAITS: Final = 500  # spans of what a request waits for; the request says how many more there were
CONNECT: Final = "connect"
COMMIT: Final = "COMMIT"
KEY: Final = contexts.create_key("tenantapp-request")
REQUEST: Final = "tenantapp.request.id"
DATABASE: Final = "tenantapp.database"
UNANSWERED: Final = "tenantapp.unanswered"
LEFT_OUT: Final = "tenantapp.waits.left_out"
_EXPRESSION: Final = re.compile(r"\{(\w+):(?:[^{}]|\{[^{}]*\})*\}")
_propagator: Final = TraceContextTextMapPropagator()


class Tracing(ProcessTracing):
    """Traces the requests of this process, and its work, once it serves.

    A request that comes with a ``traceparent`` is traced if that says so: the server leaves it with the request only if
    a trusted proxy has sent it.
    """

    def begin(self, environ: dict[str, Any]) -> Finish:
        """Begin the span of a request. Return what ends it."""
        if self._tracer is None:
            return _nothing
        method = environ["REQUEST_METHOD"]
        known = method if method in METHODS else OTHER_METHOD
        parent = _propagator.extract({"traceparent": environ.get("HTTP_TRACEPARENT", "")}, Context())
        span = self._tracer.start_span(
            "HTTP" if known == OTHER_METHOD else known,
            parent,
            SpanKind.SERVER,
            {http_attributes.HTTP_REQUEST_METHOD: known, url_attributes.URL_SCHEME: environ["wsgi.url_scheme"]},
        )
        within = set_span_in_context(span, parent)
        request = _Request(self._tracer, span, within)
        leave = self._enter(contexts.set_value(KEY, request, within))

        def finish(served: Served | None) -> None:
            leave()
            request.finish(served)

        return finish

    def waited(self, waits: Waits, took: float) -> None:
        """Make a span of a wait of a request: an observer of waits."""
        request = contexts.get_value(KEY)
        if isinstance(request, _Request) and request.span.is_recording():
            request.waited(waits, took)


class _Request:
    """The span of a request. Those of its waits are children of it."""

    def __init__(self, tracer: Tracer, span: Span, within: Context) -> None:
        self.span = span
        self._tracer, self._within = tracer, within
        self._last: Span | None = None  # of the last statement, of which more rows may be fetched
        self._last_end = 0
        self._waits = 0

    def waited(self, waits: Waits, took: float) -> None:
        end = time_ns()
        if waits.fetching:
            self._last_end = end
            return
        self._end_last()
        if waits.awaited is None or (found := _described(waits)) is None:
            return
        self._waits += 1
        if self._waits > MOST_WAITS:
            return
        name, kind, attributes = found
        begun = end - round(took * 1e9)
        span = self._tracer.start_span(name, self._within, kind, attributes, start_time=begun)
        if waits.failed is not None:
            span.set_status(Status(StatusCode.ERROR))
        self._last, self._last_end = span, end

    def finish(self, served: Served | None) -> None:
        """End the span of the request, after all of it is over."""
        self._end_last()
        span = self.span
        if span.is_recording():
            if self._waits > MOST_WAITS:
                span.set_attribute(LEFT_OUT, self._waits - MOST_WAITS)
            if served is None:
                span.set_attribute(UNANSWERED, True)
            else:
                _describe_served(span, served)
        span.end()

    def _end_last(self) -> None:
        if self._last is not None:
            self._last.end(self._last_end)
            self._last = None


def _describe_served(span: Span, served: Served) -> None:
    request, status = served.request, served.response.status_int
    route = getattr(request, "matched_route", None)
    if route is not None:
        template = route_template(route.pattern)
        span.set_attribute(http_attributes.HTTP_ROUTE, template)
        method = request.method if request.method in METHODS else "HTTP"
        span.update_name(f"{method} {template}")
    span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, status)
    span.set_attribute(REQUEST, request.request_id)
    if request.served_tenant is not None:
        span.set_attribute(TENANT, str(request.served_tenant.id))
    if status >= 500:
        fail(span, str(status))


@cache
def route_template(pattern: str) -> str:
    """Return the pattern of a route without the expressions for its parts, ``/nodes/{id}``. There are few routes."""
    return "/" + _EXPRESSION.sub(r"{\1}", pattern).removeprefix("/")


def _described(waits: Waits) -> tuple[str, SpanKind, dict[str, str]] | None:
    """Return the name, the kind and the attributes of the span of a wait. None: it has none, such as a ROLLBACK."""
    awaited: Any = waits.awaited
    failed = {} if waits.failed is None else _failure(*waits.failed)
    if awaited.spends_on == CONNECTING:
        return CONNECT, SpanKind.INTERNAL, failed
    if waits.statement is None and not waits.committing:
        return None
    text = COMMIT if waits.committing else statement_text(waits.statement)
    operation = text.split(" ", 1)[0].strip("();").upper()
    attributes = {
        db_attributes.DB_SYSTEM_NAME: awaited.system,
        db_attributes.DB_OPERATION_NAME: operation,
        db_attributes.DB_QUERY_TEXT: text,
        DATABASE: "user" if awaited.spends_on == USER_DATABASE else "tenants",
    }
    return operation, SpanKind.CLIENT, attributes | failed


def _failure(kind: str, code: str | None) -> dict[str, str]:
    said = {error_attributes.ERROR_TYPE: kind}
    return said if code is None else said | {db_attributes.DB_RESPONSE_STATUS_CODE: code}


def _nothing(served: Served | None) -> None:
    """Do nothing: the process does not serve yet."""
