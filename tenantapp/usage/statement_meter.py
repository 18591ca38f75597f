"""Add up how long statements take, in the memory of a process, until it is written."""

from collections.abc import Mapping
from threading import Lock
from typing import Final, NamedTuple

from tenantapp.sql.statement_text import OTHER, READ, statement_text
from tenantapp.sql.waits import CONNECTING, USER_DATABASE, Waits
from tenantapp.usage.models import Databases

COMMIT: Final = "COMMIT"
MOST: Final = 500  # statements that a process tells apart at a time: with their texts less than 1 MB


class TimedStatement(NamedTuple):
    """A statement, and which databases it was sent to."""

    database: Databases
    text: str


class Times:
    """How often a statement was executed, and how many seconds that took in all and once at most."""

    __slots__ = ("calls", "seconds", "worst")

    def __init__(self) -> None:
        self.calls, self.seconds, self.worst = 0, 0.0, 0.0

    def add(self, other: "Times") -> None:
        """Add what was measured before."""
        self.calls += other.calls
        self.seconds += other.seconds
        self.worst = max(self.worst, other.worst)


class StatementMeter:
    """Adds up how long the statements of requests take. All threads share one.

    It tells ``most`` statements apart. Further ones count together, as ``OTHER``.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = Lock()
        self._begin()

    def _begin(self) -> None:
        self._times: dict[TimedStatement, Times] = {}
        # By the texts that the drivers get, each of which need not be read again.
        self._given: tuple[dict[str, Times], dict[str, Times]] = ({}, {})

    def waited(self, waits: Waits, took: float) -> None:
        """Add a wait: an observer of waits."""
        awaited = waits.awaited
        if awaited is None or awaited.spends_on == CONNECTING:
            return
        given = COMMIT if waits.committing else waits.statement
        if given is None:
            return
        if not isinstance(given, str):
            given = OTHER
        in_user = awaited.spends_on == USER_DATABASE
        with self._lock:
            times = self._given[in_user].get(given)
            if times is None:
                times = self._times_of(given, in_user)
            if not waits.fetching:
                times.calls += 1
            times.seconds += took
            times.worst = max(times.worst, waits.executed)

    def take(self) -> Mapping[TimedStatement, Times]:
        """Return what was measured since this was last called."""
        with self._lock:
            taken = self._times
            self._begin()
        return taken

    def give_back(self, taken: Mapping[TimedStatement, Times]) -> None:
        """Add what could not be written."""
        with self._lock:
            for statement, times in taken.items():
                self._kept(statement).add(times)

    def _times_of(self, given: str, in_user: bool) -> Times:
        times = self._kept(TimedStatement(Databases.USER if in_user else Databases.TENANTS, statement_text(given)))
        known = self._given[in_user]
        if len(known) < self._most and len(given) <= READ:
            known[given] = times
        return times

    def _kept(self, statement: TimedStatement) -> Times:
        times = self._times.get(statement)
        if times is None:
            if len(self._times) >= self._most:
                statement = TimedStatement(statement.database, OTHER)
            times = self._times.setdefault(statement, Times())
        return times
