"""What a process counts of its requests, and says of its present.

No label has a tenant: there may be 100,000. https://prometheus.io/docs/practices/naming/
"""

import os
import resource
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram

from tenantapp.sql.waits import CONNECTING, TENANT_DATABASES, USER_DATABASE
from tenantapp.tenancy.observing import Served
from tenantapp.tenancy.request import SAFE_METHODS

METHODS: Final = frozenset({*SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE"})
OTHER: Final = "other"
NO_ROUTE: Final = "none"
# Seconds. Prometheus finds quantiles between these.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
PYTHON: Final = "python"
PARTS: Final = {CONNECTING: "connecting", USER_DATABASE: "user_database", TENANT_DATABASES: "tenant_databases"}
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class _New:
    """What was counted since the last ``keep``. ``times`` has a number for each bucket, and the sum of the seconds."""

    requests: dict[tuple[str, str, int], int] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    spent: list[float] = field(default_factory=lambda: [0.0] * len(PARTS))


class Counts:
    """The metrics of this process, in the files of its slot. Make it when the slot is taken."""

    def __init__(self) -> None:
        given: dict[str, Any] = {"registry": None}
        self._requests = Counter(
            "tenantapp_requests", "Requests that were answered.", ["route", "method", "status"], **given
        )
        self._seconds = Histogram(
            "tenantapp_request_seconds", "Seconds until the answer was there.", ["route"], buckets=BUCKETS, **given
        )
        self._spent = Counter(
            "tenantapp_request_time_seconds", "Seconds of requests, by what they were spent on.", ["on"], **given
        )
        self._connections = _gauge("tenantapp_connections", "Connections to a server.", ["server", "state"])
        self._connection_limit = _gauge("tenantapp_connections_limit", "Most connections to a server.", ["server"])
        self._waiting = _gauge("tenantapp_connections_waiting", "Requests that wait for a connection.", ["server"])
        self._breakers = _gauge("tenantapp_breakers_open", "Processes that take a server for silent.", ["server"])
        self._threads = _gauge("tenantapp_threads", "Threads that serve requests.", [])
        self._threads_busy = _gauge("tenantapp_threads_busy", "Requests that are being served.", [])
        self._slow = _gauge("tenantapp_requests_slow", "Requests that wait for a slow database now.", [])
        self._processes = _gauge("tenantapp_processes", "Processes that serve.", [])
        self._memory = _gauge("tenantapp_memory_bytes", "Resident memory of the processes.", [])
        self._files = _gauge("tenantapp_open_files", "Open files of the processes.", [])
        self._grown = _Grown(
            {
                name: Counter(name, words, labels, **given)
                for name, words, labels in (
                    ("tenantapp_connections_waited", "Requests that had to wait for a connection.", ["server"]),
                    ("tenantapp_connections_evicted", "Connections that were closed for another tenant.", ["server"]),
                    (
                        "tenantapp_connections_refused",
                        "Requests that waited for a connection and got none.",
                        ["server"],
                    ),
                    ("tenantapp_requests_limited", "Requests beyond a limit, by what was limited.", ["by"]),
                    ("tenantapp_requests_uncounted", "Requests that no limit counted: its store was away.", []),
                    ("tenantapp_requests_shed", "Requests that had waited too long to be begun.", []),
                    (
                        "tenantapp_replicated_reads",
                        "Requests that read a tenant's database on a server with replicas.",
                        ["server", "source"],
                    ),
                    ("tenantapp_requests_refused", "Requests not let in to a slow database.", []),
                    ("tenantapp_requests_ended", "Requests that were ended to free a thread.", []),
                    ("tenantapp_requests_overdue", "Waits for a database without an answer in time.", []),
                )
            }
        )
        self._lock, self._keeping = Lock(), Lock()
        self._new = _New()

    def count(self, served: Served) -> None:
        """Count a request: an observer of requests. It is in the file after the next ``keep``.

        A write for each request would take it ten times as long.
        """
        request, seconds, spent = served.request, served.seconds, served.waits.spent
        matched = getattr(request, "matched_route", None)
        route = NO_ROUTE if matched is None else matched.name
        key = (route, request.method, served.response.status_int)
        with self._lock:
            new = self._new
            new.requests[key] = new.requests.get(key, 0) + 1
            times = new.times.get(route)
            if times is None:
                times = new.times[route] = [0.0] * (len(BUCKETS) + 2)
            times[bisect_left(BUCKETS, seconds)] += 1
            times[-1] += seconds
            new.seconds += seconds
            for place, took in enumerate(spent):
                new.spent[place] += took

    def keep(self) -> None:
        """Write what was counted until now into the files."""
        with self._keeping:  # so that it is there for each of two that keep at once
            with self._lock:
                new, self._new = self._new, _New()
            self._write(new)

    def _write(self, new: _New) -> None:
        for (route, method, status), number in new.requests.items():
            self._requests.labels(route, method if method in METHODS else OTHER, str(status)).inc(number)
        for route, times in new.times.items():
            # A histogram has no other way to observe many values at once.
            histogram = self._seconds.labels(route)
            histogram._sum.inc(times[-1])
            for bucket, times_in in zip(histogram._buckets, times, strict=False):
                if times_in:
                    bucket.inc(times_in)
        for place, took in enumerate(new.spent):
            self._spent.labels(PARTS[place]).inc(took)
        self._spent.labels(PYTHON).inc(max(0.0, new.seconds - sum(new.spent)))

    def say(self, registry: Any) -> None:
        """Say how it is now."""
        for server, budget in registry.tenant_dbs.numbers().items():
            self._connections.labels(server, "idle").set(budget.idle)
            self._connections.labels(server, "in use").set(budget.open - budget.idle)
            self._connection_limit.labels(server).set(budget.limit)
            self._waiting.labels(server).set(budget.waiting)
            for name in ("waited", "evicted", "refused"):
                self._grown.to(f"tenantapp_connections_{name}", getattr(budget, name), server)
        for server, replicas in registry.tenant_dbs.replicas.items():
            for source, number in (("replica", replicas.by_replicas), ("server", replicas.by_server)):
                self._grown.to("tenantapp_replicated_reads", number, server, source)
        for server, engines in registry.tenant_dbs.all_engines().items():
            self._breakers.labels(server).set(engines.breaker.is_open)
        bulkhead = registry.bulkhead
        numbers = bulkhead.numbers()
        self._slow.set(numbers.slow)
        for name in ("refused", "ended", "overdue"):
            self._grown.to(f"tenantapp_requests_{name}", getattr(numbers, name))
        limited = registry.limiter.numbers()
        for kind, refused in limited.refused.items():
            self._grown.to("tenantapp_requests_limited", refused, kind)
        self._grown.to("tenantapp_requests_uncounted", limited.uncounted)
        self._grown.to("tenantapp_requests_shed", limited.shed)
        self._threads.set(registry.app_settings.threads)
        self._threads_busy.set(len(bulkhead.requests))
        self._processes.set(1)
        self._memory.set(_resident())
        self._files.set(_open_files())


class _Grown:
    """Counters of figures that a process has as sums since its start."""

    def __init__(self, counters: Mapping[str, Counter]) -> None:
        self._counters = counters
        self._before: dict[tuple[str, ...], int] = {}

    def to(self, name: str, value: int, *labels: str) -> None:
        """Count up to this value, which has only grown."""
        counter = self._counters[name]
        counter = counter.labels(*labels) if labels else counter
        counter.inc(value - self._before.get((name, *labels), 0))
        self._before[name, *labels] = value


def _gauge(name: str, words: str, labels: list[str]) -> Gauge:
    """Return a gauge whose value is the sum of those of all living processes."""
    return Gauge(name, words, labels, registry=None, multiprocess_mode="livesum")


def _resident() -> int:
    """Return the bytes of memory that this process holds."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    except OSError:  # not Linux: the most that it has held, in KiB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _open_files() -> int:
    for directory in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(directory))
        except OSError:
            continue
    return 0
