"""Send spans to a collector, from a thread, without holding anything up.

The processor keeps a bounded number of spans. If the collector does not take them, further ones are dropped, and the
log says so now and then.
"""

import logging
from threading import Lock
from time import monotonic
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor

PATH: Final = "/v1/traces"
TIMEOUT: Final = 5.0  # seconds for one request to the collector, with all attempts
SELDOM: Final = 60.0  # seconds between two lines of the log that say the same
TALKATIVE: Final = ("opentelemetry.sdk._shared_internal", "opentelemetry.exporter.otlp.proto.http.trace_exporter")


def batches_to(endpoint: str) -> SpanProcessor:
    """Return what sends spans to a collector that speaks OTLP over HTTP at this address.

    Call it in the process that serves: its thread does not survive a fork. The standard variables ``OTEL_BSP_*`` and
    ``OTEL_EXPORTER_OTLP_*`` are followed, such as ``OTEL_EXPORTER_OTLP_HEADERS``.
    """
    for name in TALKATIVE:
        logging.getLogger(name).addFilter(Seldom())
    return BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}{PATH}", timeout=TIMEOUT))


class Seldom(logging.Filter):
    """Lets each message through once in ``SELDOM`` seconds. Some are logged for every span that is dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self._logged: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the message was not logged of late."""
        now, message = monotonic(), str(record.msg)
        with self._lock:
            if now - self._logged.get(message, -SELDOM) < SELDOM:
                return False
            self._logged[message] = now
            return True
