"""Aware times in UTC. The program stores no other times."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_system_clock: Callable[[], datetime] = partial(datetime.now, UTC)
_clock = _system_clock


def utcnow() -> datetime:
    """Return the present time, aware and in UTC."""
    return _clock()


def use_clock(clock: Callable[[], datetime] | None) -> None:
    """Let ``utcnow`` return what this clock returns, in all threads; None means the system's clock. Only for tests."""
    global _clock
    _clock = clock or _system_clock


class UtcDateTime(TypeDecorator[datetime]):
    """A column of times: ``timestamptz`` on PostgreSQL, text in UTC on SQLite, aware in Python on both.

    Raises ``ValueError`` for a naive time, because its zone is not known.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        # SQLite returns the time without its zone.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
