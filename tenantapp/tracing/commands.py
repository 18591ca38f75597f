"""Trace the work of a command or a worker, from its first piece of work on."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from tenantapp.trace_context import Failed, Work

if TYPE_CHECKING:
    from tenantapp.tracing.process import ProcessTracing


class LateTracing:
    """Traces the work of this process. OpenTelemetry is imported with the first piece of work, as that takes long.

    ``endpoint`` and ``sample`` are the settings ``opentelemetry.endpoint`` and ``opentelemetry.sample``.
    """

    def __init__(self, endpoint: str, sample: float) -> None:
        self._endpoint, self._sample = endpoint, sample
        self._lock = Lock()
        self._made: ProcessTracing | None = None

    @contextmanager
    def working(self, work: Work) -> Iterator[Failed]:
        """Make a span of a piece of work."""
        with self._begun().working(work) as failed:
            yield failed

    def use(self, tracing: "ProcessTracing") -> None:
        """Trace with what the domain makes its own spans with. Does nothing after the first piece of work."""
        with self._lock:
            if self._made is None:
                tracing.start()
                self._made = tracing

    def finish(self) -> None:
        """Send the last spans."""
        if self._made is not None:
            self._made.finish()

    def _begun(self) -> "ProcessTracing":
        with self._lock:
            if self._made is None:
                from functools import partial

                from tenantapp.tracing.exporting import batches_to
                from tenantapp.tracing.process import ProcessTracing

                self._made = ProcessTracing(self._sample, partial(batches_to, self._endpoint))
                self._made.start()
            return self._made
