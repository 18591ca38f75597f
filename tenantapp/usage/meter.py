"""Add up what tenants use, in the memory of a process, until it is written."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, NamedTuple
from uuid import UUID

from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace

HOUR: Final = timedelta(hours=1)
MOST: Final = 50_000  # tenants' hours that are kept while the user database does not take them: about 25 MB


class TenantHour(NamedTuple):
    """A tenant, and the beginning of an hour."""

    tenant_id: UUID
    hour: datetime


class Used:
    """What a tenant has used. ``database_seconds`` are those of ``seconds`` that were waits for its database."""

    __slots__ = ("bytes_sent", "database_seconds", "requests", "rows_written", "seconds", "slug")

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self.requests = self.bytes_sent = self.rows_written = 0
        self.seconds = self.database_seconds = 0.0

    def add(self, other: "Used") -> None:
        """Add what was used before."""
        self.requests += other.requests
        self.seconds += other.seconds
        self.database_seconds += other.database_seconds
        self.bytes_sent += other.bytes_sent
        self.rows_written += other.rows_written


class Meter:
    """Adds up what tenants use. All threads share one.

    It has at most ``most`` tenants' hours. What is used beyond is not counted, and ``left_out`` counts its requests.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = Lock()
        self._hour = self._ends = _beginning(utcnow())
        self._used: dict[TenantHour, Used] = {}
        """What was used in the hours before."""
        self._this_hour: dict[int, Used] = {}
        """What was used in ``_hour``, by the number of the tenant's id, of which Python has the hash at once."""
        self.left_out = 0

    def add_request(self, tenant: TenantPlace, seconds: float, database_seconds: float, rows: int, size: int) -> None:
        """Add a request: its whole time, what it waited of that for the tenant's database, rows and bytes."""
        with self._lock:
            used = self._used_by(tenant)
            if used is None:
                self.left_out += 1
                return
            used.requests += 1
            used.seconds += seconds
            used.database_seconds += database_seconds
            used.rows_written += rows
            used.bytes_sent += size

    def add_sent(self, tenant: TenantPlace, size: int, database_seconds: float) -> None:
        """Add a piece of an answer that is sent after its request: its bytes, and the time to read it."""
        with self._lock:
            if (used := self._used_by(tenant)) is not None:
                used.bytes_sent += size
                used.seconds += database_seconds
                used.database_seconds += database_seconds

    def take(self) -> Mapping[TenantHour, Used]:
        """Return what was used since this was last called."""
        with self._lock:
            self._end_hour()
            taken, self._used = self._used, {}
        return taken

    def give_back(self, taken: Mapping[TenantHour, Used]) -> None:
        """Add what could not be written, as far as there is room."""
        with self._lock:
            self._end_hour()
            for key, before in taken.items():
                if key in self._used:
                    self._used[key].add(before)
                elif self._has_room():
                    self._used[key] = before
                else:
                    self.left_out += before.requests

    def _used_by(self, tenant: TenantPlace) -> Used | None:
        now = utcnow()
        if not self._hour <= now < self._ends:
            self._end_hour()
            self._hour = _beginning(now)
            self._ends = self._hour + HOUR
        used = self._this_hour.get(tenant.id.int)
        if used is None:
            if not self._has_room():
                return None
            used = self._this_hour[tenant.id.int] = Used(tenant.slug)
        used.slug = tenant.slug
        return used

    def _has_room(self) -> bool:
        return len(self._used) + len(self._this_hour) < self._most

    def _end_hour(self) -> None:
        """Put what was used in this hour beside the others."""
        for number, used in self._this_hour.items():
            key = TenantHour(UUID(int=number), self._hour)
            if (before := self._used.get(key)) is not None:
                used.add(before)
            self._used[key] = used
        self._this_hour = {}


def _beginning(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)
