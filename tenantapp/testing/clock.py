"""Freeze or advance what the application takes for the present, in tests."""

from datetime import UTC, datetime, timedelta

from tenantapp.sql.times import use_clock


class Clock:
    """The time that ``utcnow`` returns, in all threads of this process. It goes on until it is frozen."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._frozen: datetime | None = None

    def now(self) -> datetime:
        """Return the time, aware and in UTC."""
        return self._frozen or datetime.now(UTC) + self._ahead

    def freeze(self, at: datetime | None = None) -> datetime:
        """Let the time stand still, at a time that is given with its zone, or else now. Return it.

        Raises ``ValueError`` for a time without a zone.
        """
        if at is not None and at.tzinfo is None:
            raise ValueError("a time without a zone is no moment: give it one, such as UTC")
        self._frozen = (at or self.now()).astimezone(UTC)
        return self._frozen

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
        """Let this much time pass at once, also if the time stands still. Return the new time."""
        step = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if self._frozen is None:
            self._ahead += step
        else:
            self._frozen += step
        return self.now()

    def start(self) -> None:
        """Let the application ask this clock."""
        use_clock(self.now)

    def stop(self) -> None:
        """Let the application ask the clock of the system again."""
        use_clock(None)
