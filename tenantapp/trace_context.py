"""The trace of what this thread does, for rooms that leave work to be done later, do it, or send requests to others.

Only the room ``tracing`` knows OpenTelemetry. Where nothing is traced, nothing is kept and nothing is sent.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Final, NamedTuple, Protocol
from uuid import UUID

LENGTH: Final = 55  # characters of a traceparent
# W3C Trace Context, section 3.2. Ours are of version 00, and of what is traced: so say the last two digits.
FORM: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01")
Failed = Callable[[BaseException], None]
"""Notes the error that a piece of work has ended with, if it is not raised."""


class Work(NamedTuple):
    """A piece of work that was left for later.

    ``queue`` is where it has waited, such as ``jobs``, and ``name`` which of few kinds it is of. ``cause`` is the
    ``traceparent`` that was kept with it: of what has left it, if that was traced.
    """

    queue: str
    name: str
    id: UUID
    tenant_id: UUID | None
    cause: str | None


class Call(Protocol):
    """A request that is sent to others. ``headers`` are to be sent with it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the ``traceparent``, if the request is traced."""

    def answered(self, status: int) -> None:
        """Note the status of the answer."""


class WorkTracer(Protocol):
    """Traces the work of a process."""

    def working(self, work: Work) -> AbstractContextManager[Failed]:
        """Trace a piece of work until the block ends. An error that leaves the block is noted, and one that is told."""


class Tracer(WorkTracer, Protocol):
    """Traces what a thread does."""

    def traceparent(self) -> str | None:
        """Return the ``traceparent`` of what this thread does now, or None if that is not traced."""

    def calling(self, method: str) -> AbstractContextManager[Call]:
        """Trace a request to others until the block ends. An error that leaves the block is noted."""


class _Untraced:
    headers: Mapping[str, str] = {}

    def answered(self, status: int) -> None:
        """Note nothing."""


_UNTRACED: Final = _Untraced()
present: Final[ContextVar[Tracer | None]] = ContextVar("tenantapp_tracer", default=None)
"""What traces this thread now. The room ``tracing`` sets it."""


def present_traceparent() -> str | None:
    """Return the ``traceparent`` of what this thread does now, to be kept with what it leaves, or None."""
    tracer = present.get()
    return None if tracer is None else tracer.traceparent()


def read_traceparent(kept: object) -> str | None:
    """Return a ``traceparent`` that was kept, or None if it does not have the form of ours."""
    return kept if isinstance(kept, str) and FORM.fullmatch(kept) else None


def traced_work(tracer: WorkTracer | None, work: Work) -> AbstractContextManager[Failed]:
    """Trace a piece of work until the block ends, if there is a tracer."""
    return nullcontext(_not_noted) if tracer is None else tracer.working(work)


def traced_call(method: str) -> AbstractContextManager[Call]:
    """Trace a request to others until the block ends, if what this thread does is traced."""
    tracer = present.get()
    return nullcontext(_UNTRACED) if tracer is None else tracer.calling(method)


def _not_noted(error: BaseException) -> None:
    """Note nothing."""
