"""Report what each process that serves holds of connections and threads."""

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import timedelta
from time import monotonic
from typing import Any, Final
from uuid import uuid4

from sqlalchemy.orm import Session

from tenantapp.operations.reports import Subject, forget, list_reports, report
from tenantapp.sql.times import utcnow

EVERY: Final = 10.0  # seconds
SHOWN: Final = timedelta(seconds=35)  # after its last report a process has probably died
CANNOT: Final = "What this process holds is not reported for now"


class ProcessReport:
    """Reports on this process. ``registry`` is that of the application."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._name = uuid4().hex
        self._begun, self._reported = utcnow(), float("-inf")

    def write_sometimes(self) -> bool:
        """Report if it is time for it. Return False: there is nothing more. Raises what the user database raises."""
        if monotonic() - self._reported >= EVERY:
            with self._registry.user_db.begin() as session:
                report(session, Subject.PROCESS, self._name, self._content())
            self._reported = monotonic()
        return False

    def withdraw(self) -> None:
        """Remove the report, because the process ends. Raises what the user database raises."""
        if self._reported > 0:
            with self._registry.user_db.begin() as session:
                forget(session, Subject.PROCESS, self._name)

    def _content(self) -> Mapping[str, Any]:
        registry = self._registry
        bulkhead = registry.bulkhead
        return {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "begun_at": self._begun.isoformat(),
            "threads": registry.app_settings.threads,
            "busy": len(bulkhead.requests),
            "slow": bulkhead.numbers().slow,
            "connections": list(self._connections()),
        }

    def _connections(self) -> Iterator[dict[str, Any]]:
        registry = self._registry
        pools = (registry.user_db.connections(), registry.access_reader.database.connections())
        if known := [asdict(numbers) for numbers in pools if numbers is not None]:
            yield {"server": None, "silent": False, **{name: sum(each[name] for each in known) for name in known[0]}}
        for name, engines in registry.tenant_dbs.all_engines().items():
            yield {"server": name, "silent": engines.breaker.is_open, **asdict(engines.budget.numbers())}


def list_processes(session: Session) -> list[dict[str, Any]]:
    """Return what the processes that serve hold, on all machines, by host and process id."""
    found = [
        {"id": each.name, "seen_at": each.seen_at, **each.content}
        for each in list_reports(session, Subject.PROCESS, SHOWN)
    ]
    return sorted(found, key=lambda process: (process["host"], process["process"]))
