"""One database: its engine, its sessions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Any, Final, NamedTuple

from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, sessionmaker

from tenantapp.sql.prepared import DATABASE, LoneSelect, Row
from tenantapp.sql.sqlite_files import READ_ONLY


class _Session(Session):
    """A session that is closed for good, prepared SELECTs included."""

    def close(self) -> None:
        self.info.pop(DATABASE, None)
        super().close()


# One for all databases: SQLAlchemy makes a class for each, of 20 KiB, and sessions differ by their engine only.
# A closed session stays closed: one that is used too late raises, and takes no connection that nobody gives back.
_SESSIONS: Final = sessionmaker(class_=_Session, autoflush=False, close_resets_only=False)


class _Made(NamedTuple):
    """An engine, and the same engine for reading only; they share the pool."""

    engine: Engine
    reading: Engine


class DBFactory:
    """Owns the engine of one database, and hands out sessions.

    Made once and shared by all threads. ``make_engine`` is called at the first use, and connects when a session first
    executes something; until then a factory costs next to nothing.
    """

    __slots__ = ("_lock", "_made", "_make_engine", "last_used")

    def __init__(self, make_engine: Callable[[], Engine]) -> None:
        self._make_engine = make_engine
        self._made: _Made | None = None
        self._lock = Lock()
        self.last_used = 0.0
        """When a session was last asked for, on the monotonic clock, in seconds."""

    @property
    def engine(self) -> Engine:
        """The engine, made at first use."""
        return self._ready().engine

    def get_session(self, *, read_only: bool = False) -> Session:
        """A new session; whoever asks for it closes it. The database refuses writes in a read-only one."""
        made = self._ready()
        self.last_used = monotonic()
        return _SESSIONS(bind=made.reading if read_only else made.engine, info={DATABASE: self})

    def fetch(self, statement: LoneSelect[Row], values: Mapping[str, Any]) -> Sequence[Row]:
        """The rows of a SELECT that is sent alone, on a connection of this database."""
        return statement.fetch(self.engine, values)

    @contextmanager
    def begin(self, *, read_only: bool = False) -> Iterator[Session]:
        """A session for a ``with`` block outside a request: commits at its end, rolls back on an exception."""
        with self.get_session(read_only=read_only) as session, session.begin():
            yield session

    @property
    def is_made(self) -> bool:
        """Whether there is an engine right now."""
        return self._made is not None

    def checkedout(self) -> int:
        """How many connections are in use right now."""
        made = self._made
        return 0 if made is None else made.engine.pool.checkedout()  # type: ignore[attr-defined]

    def dispose(self) -> None:
        """Close the connections that are not in use and forget the engine. One in use is closed when given back."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.engine.dispose()

    def _ready(self) -> _Made:
        made = self._made
        if made is None:
            with self._lock:
                made = self._made
                if made is None:
                    made = self._made = _make(self._make_engine())
        return made


def _make(engine: Engine) -> _Made:
    # PostgreSQL: BEGIN READ ONLY; SQLite: PRAGMA query_only and a deferred BEGIN.
    reading = engine.execution_options(**{READ_ONLY: True, "postgresql_readonly": True})
    return _Made(engine, reading)
