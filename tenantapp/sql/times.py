"""Aware times in UTC. The program stores no other times."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

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
