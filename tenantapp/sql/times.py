"""Aware times in UTC. The program stores no other times.

Times are compared in other processes than those that stored them, so all have to agree on the present. If the user
database is on PostgreSQL, its server's clock decides: ``follow`` says what it shows. From then on, a step of this
machine's clock changes nothing, because the monotonic clock counts on. On SQLite all processes are on one machine, and
its clock decides.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

log = logging.getLogger(__name__)
EPOCH: Final = datetime.fromtimestamp(0, UTC)
# On Linux, the ordinary monotonic clock stands still meanwhile.
_COUNTING: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
TOLERANCE: Final = 1_000_000_000  # nanoseconds by which a clock may differ from the user database's


class _Moment(NamedTuple):
    """A time in nanoseconds since the epoch, and what the monotonic clock showed then."""

    at: int
    shown: int


_moment: _Moment | None = None


def counting_ns() -> int:
    """Return nanoseconds of a clock that nobody sets, and that goes on while the machine is suspended."""
    return time.clock_gettime_ns(_COUNTING)


def present_ns() -> int:
    """Return the present time in nanoseconds since the epoch."""
    moment = _moment
    return time.time_ns() if moment is None else moment.at + counting_ns() - moment.shown


def follow(database: int, within: int) -> None:
    """Agree with the user database's clock, which has just shown a time, in nanoseconds since the epoch.

    It took ``within`` nanoseconds to ask. A clock that differs by less than a second more is kept, so that the present
    goes on evenly.
    """
    global _moment
    shown = counting_ns()
    before = present_ns()
    at = next((at for at in (before, time.time_ns()) if abs(at - database) <= TOLERANCE + within), database)
    if abs(at - before) > TOLERANCE:
        log.warning("The clock was %.1f s ahead of the user database's, and follows it.", (before - database) / 1e9)
    _moment = _Moment(at, shown)


def _present() -> datetime:
    return EPOCH + timedelta(microseconds=present_ns() // 1000)


_clock = _present


def utcnow() -> datetime:
    """Return the present time, aware and in UTC."""
    return _clock()


def use_clock(clock: Callable[[], datetime] | None) -> None:
    """Let ``utcnow`` return what this clock returns, in all threads; None means the real present. Only for tests."""
    global _clock
    _clock = clock or _present


class UtcDateTime(TypeDecorator[datetime]):
    """A column of times: ``timestamptz`` on PostgreSQL, text in UTC on SQLite, aware in Python on both.

    Raises ``ValueError`` for a naive time, because its zone is not known.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], datetime | None] | None:
        """Return what makes a time of the driver's value."""
        return _time if dialect.name == "sqlite" else super().result_processor(dialect, coltype)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _aware(value)


def _time(text: str | None) -> datetime | None:
    """Return the time that SQLite has as text without its zone."""
    if text is None:
        return None
    try:
        # Most rows have two times: to read the zone takes a quarter of the time that to replace it takes.
        return datetime.fromisoformat(f"{text}Z")
    except ValueError:
        return _aware(datetime.fromisoformat(text))


def _aware(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
