"""Log requests that fail on our side: one line for each, and a traceback from time to time.

While a database is down, all requests to it fail in the same way. The first traceback shows how. A thousand more would
only fill the disk.
"""

import logging
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Any, Final

from tenantapp.sql.errors import DatabaseUnavailable
from tenantapp.tenancy.errors import TenantOutdated

log = logging.getLogger(__name__)
TRACEBACK_EVERY: Final = 60.0  # seconds, for each kind of failure


class FailureLog:
    """Writes the lines. At least ``every`` seconds of ``clock`` pass between two tracebacks of one kind."""

    def __init__(self, every: float = TRACEBACK_EVERY, clock: Callable[[], float] = monotonic) -> None:
        self._every, self._clock = every, clock
        self._written: dict[tuple[str, str], float] = {}
        self._lock = Lock()

    def write(self, request_id: str, error: BaseException) -> None:
        """Write the line of an error from the table of problems that is answered with a status of 500 or above."""
        fields: dict[str, Any] = {"request_id": request_id}
        told, cause = str(error), ""
        if isinstance(error, DatabaseUnavailable):
            told, cause = error.for_log(), error.failure.cause.value
            fields |= error.log_fields()
        elif isinstance(error, TenantOutdated):
            told, cause = error.for_log(), error.missing
            fields |= error.log_fields()
        traceback = error if self._is_due((type(error).__name__, cause)) else None
        log.warning("Request %s: %s", request_id, told, exc_info=traceback, extra=fields)

    def _is_due(self, kind: tuple[str, str]) -> bool:
        now = self._clock()
        with self._lock:
            last = self._written.get(kind)
            if last is not None and now - last < self._every:
                return False
            self._written[kind] = now
            return True
