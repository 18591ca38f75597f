"""Trace what a process does: the work that others have left, and the requests that it sends to others.

Names and attributes are those of OpenTelemetry's semantic conventions for messaging and for HTTP (version 1.44):
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client
Addresses of other servers are left out, because tenants name them, and so is the text of errors.
"""

import atexit
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from threading import Lock, Thread
from typing import Final
from uuid import uuid4

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.semconv.attributes import error_attributes, http_attributes, service_attributes
from opentelemetry.trace import (
    Link,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes

from tenantapp.trace_context import Failed, Work, present, read_traceparent

TENANT: Final = "tenantapp.tenant.id"
LAST: Final = 3.0  # seconds that the last spans of a process may take
PROCESS: Final = "process"
SYSTEM: Final = "tenantapp"


class ProcessTracing:
    """Traces the work of this process, once it is started.

    ``sample`` is the part that is traced, from 0 to 1, of what nothing traced has caused. ``make_processor`` makes what
    the spans are given to.
    """

    def __init__(self, sample: float, make_processor: Callable[[], SpanProcessor]) -> None:
        self._sample, self.make_processor = sample, make_processor
        self._lock = Lock()
        self._tracer: Tracer | None = None
        self.provider: TracerProvider | None = None
        """Makes tracers for a domain, once it is started."""

    def start(self) -> None:
        """Begin to trace, unless it was begun. Call it in the process that works or serves, after it was forked."""
        with self._lock:
            if self._tracer is None:
                sampler = ParentBased(_Following(TraceIdRatioBased(self._sample)))
                self.provider = TracerProvider(sampler, _resource(), shutdown_on_exit=False)
                self.provider.add_span_processor(self.make_processor())
                self._tracer = self.provider.get_tracer("tenantapp", version("tenantapp"))
                atexit.register(self.finish)

    def finish(self) -> None:
        """Send the last spans. A collector that does not answer holds up the end of the process ``LAST`` at most."""
        if self.provider is not None:
            thread = Thread(target=self.provider.shutdown, name="last-spans", daemon=True)
            thread.start()
            thread.join(LAST)

    def traceparent(self) -> str | None:
        """Return the ``traceparent`` of the current span, or None if it is not traced."""
        return _traceparent(get_current_span())

    @contextmanager
    def working(self, work: Work) -> Iterator[Failed]:
        """Make a span of a piece of work. It has a link to the span of its cause, see ``docs/traces.md``."""
        if self._tracer is None:
            yield _not_noted
            return
        destination = f"{work.queue}/{work.name}"
        attributes = {
            "messaging.system": SYSTEM,
            "messaging.operation.name": PROCESS,
            "messaging.operation.type": PROCESS,
            "messaging.destination.name": destination,
            "messaging.message.id": str(work.id),
        }
        if work.tenant_id is not None:
            attributes[TENANT] = str(work.tenant_id)
        span = self._tracer.start_span(
            f"{PROCESS} {destination}", None, SpanKind.CONSUMER, attributes, list(_links(work.cause))
        )
        leave = self._enter(set_span_in_context(span))
        try:
            with _noting_errors(span) as failed:
                yield failed
        finally:
            leave()

    @contextmanager
    def calling(self, method: str) -> Iterator["_Call"]:
        """Make a span of a request to others, a child of the current one."""
        tracer = self._tracer or NoOpTracer()
        span = tracer.start_span(method, None, SpanKind.CLIENT, {http_attributes.HTTP_REQUEST_METHOD: method})
        with _noting_errors(span):
            yield _Call(span)

    def _enter(self, context: Context) -> Callable[[], None]:
        """Let this thread be traced in this context. Return what ends that."""
        attached, before = contexts.attach(context), present.set(self)

        def leave() -> None:
            present.reset(before)
            contexts.detach(attached)

        return leave


class _Call:
    def __init__(self, span: Span) -> None:
        self._span = span
        traceparent = _traceparent(span)
        self.headers: Mapping[str, str] = {} if traceparent is None else {"traceparent": traceparent}

    def answered(self, status: int) -> None:
        self._span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, status)
        if status >= 400:
            fail(self._span, str(status))


class _Following(Sampler):
    """Traces what something traced has caused. Of all else, ``otherwise`` decides."""

    def __init__(self, otherwise: Sampler) -> None:
        self._otherwise = otherwise

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide about a span without a parent."""
        follows = any(link.context.trace_flags.sampled for link in links or ())
        decides = ALWAYS_ON if follows else self._otherwise
        return decides.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """Return the description that OpenTelemetry wants of each sampler."""
        return f"Following{{{self._otherwise.get_description()}}}"


def fail(span: Span, kind: str) -> None:
    """Note on a span what has failed: the class of an error, or a status of HTTP."""
    span.set_attribute(error_attributes.ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR))


@contextmanager
def _noting_errors(span: Span) -> Iterator[Failed]:
    """End a span with the block, and note the class of an error: its text may have a customer's words."""

    def failed(error: BaseException) -> None:
        fail(span, type(error).__name__)

    try:
        yield failed
    except BaseException as error:
        failed(error)
        raise
    finally:
        span.end()


def _traceparent(span: Span) -> str | None:
    context = span.get_span_context()
    if not context.trace_flags.sampled:
        return None
    return f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-01"


def _links(cause: str | None) -> Iterator[Link]:
    """Yield the link to a cause. What was kept may have been changed by others since, and is left out then."""
    traceparent = read_traceparent(cause)
    if traceparent is not None:
        _, trace_id, span_id, _ = traceparent.split("-")
        flags = TraceFlags(TraceFlags.SAMPLED)
        yield Link(SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=flags))


def _resource() -> Resource:
    """Return what all spans of this process say of it. ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` count."""
    ours = Resource(
        {
            service_attributes.SERVICE_NAME: "tenantapp",
            service_attributes.SERVICE_VERSION: version("tenantapp"),
            "service.instance.id": str(uuid4()),
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
        }
    )
    return ours.merge(OTELResourceDetector().detect())


def _not_noted(error: BaseException) -> None:
    """Note nothing: the process does not trace yet."""
