"""The engine and the sessions of one database."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock
from time import monotonic
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, sessionmaker

from tenantapp.sql.budget import BudgetNumbers
from tenantapp.sql.pool import BudgetedPool
from tenantapp.sql.prepared import DATABASE, LoneSelect, Row
from tenantapp.sql.sqlite_files import READ_ONLY
from tenantapp.tenancy import recording, searching


class _Session(Session):
    """A session that cannot be used again after it is closed, not even for prepared SELECTs."""

    def close(self) -> None:
        self.info.pop(DATABASE, None)
        super().close()


class _RecordingSession(_Session):
    """A session on a tenant database. ``recording`` and ``searching`` listen to it."""


searching.listen_on_sessions(_RecordingSession)
recording.listen_on_sessions(_RecordingSession)
# One for all databases: SQLAlchemy makes a class of 20 KiB for each sessionmaker, and only the engines differ.
# A closed session stays closed: later use raises an error, instead of taking a connection that nobody returns.
_SESSIONS: Final = sessionmaker(class_=_Session, autoflush=False, close_resets_only=False)
# Those of tenant databases record the changes of tracked models.
_RECORDING: Final = sessionmaker(class_=_RecordingSession, autoflush=False, close_resets_only=False)


class _Made(NamedTuple):
    """An engine, and the same engine for reading only. They share the pool."""

    engine: Engine
    reading: Engine


class DBFactory:
    """Owns the engine of one database, and opens sessions on it.

    All threads share one factory. It calls ``make_engine`` at its first use. The engine connects when a session first
    executes a statement. An unused factory costs almost nothing. With ``changes_kept``, its sessions record the changes
    of tracked models, which are kept for this time. ``on_watched`` is called after the commit of changes if the tenant
    has somebody told of them, and ``on_file_removed`` after the commit that removed the row of a file, with its id.
    ``enqueue`` queues a job of the tenant in a session's transaction; see ``work.queue``.
    """

    __slots__ = (
        "_lock",
        "_made",
        "_make_engine",
        "changes_kept",
        "enqueue",
        "known_sizes",
        "known_tables",
        "last_used",
        "most_connections",
        "on_file_removed",
        "on_watched",
    )

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        *,
        changes_kept: timedelta | None = None,
        on_watched: Callable[[], None] | None = None,
        on_file_removed: Callable[[UUID], None] | None = None,
        enqueue: Callable[..., UUID] | None = None,
    ) -> None:
        self._make_engine, self.enqueue = make_engine, enqueue
        self.changes_kept, self.on_watched, self.on_file_removed = changes_kept, on_watched, on_file_removed
        self.known_tables: set[str] = set()
        """The tables that the database is known to have, of those that an older database lacks."""
        self.known_sizes: dict[str, tuple[float, int]] = {}
        """About how many rows a table has, and when it was asked, on the monotonic clock, in seconds."""
        self.most_connections: int | None = None
        """How many connections there may be; None: as many as the budget allows."""
        self._made: _Made | None = None
        self._lock = Lock()
        self.last_used = 0.0
        """The time of the last call of ``get_session`` or ``fetch``, on the monotonic clock, in seconds."""

    @property
    def engine(self) -> Engine:
        """Return the engine, which is made at the first use."""
        return self._ready().engine

    def get_session(self, *, read_only: bool = False) -> Session:
        """Return a new session, which the caller closes. In a read-only session, the database refuses writes."""
        made = self._ready()
        self.last_used = monotonic()
        return self._session(made.reading if read_only else made.engine)

    def _session(self, bind: Engine | Connection, **options: Any) -> Session:
        sessions = _SESSIONS if self.changes_kept is None else _RECORDING
        return sessions(bind=bind, info={DATABASE: self}, **options)

    def fetch(self, statement: LoneSelect[Row], values: Mapping[str, Any]) -> Sequence[Row]:
        """Return the rows of a SELECT that is sent alone, on a connection to this database."""
        made = self._ready()
        self.last_used = monotonic()
        return statement.fetch(made.engine, values)

    @contextmanager
    def begin(self, *, read_only: bool = False) -> Iterator[Session]:
        """Yield a session outside a request. Commit at the end of the block; roll back on an exception."""
        with self.get_session(read_only=read_only) as session, session.begin():
            yield session

    @property
    def is_made(self) -> bool:
        """Return whether the factory has an engine now."""
        return self._made is not None

    def checkedout(self) -> int:
        """Return how many connections are in use now."""
        made = self._made
        return 0 if made is None else made.engine.pool.checkedout()  # type: ignore[attr-defined]

    def connections(self) -> BudgetNumbers | None:
        """Return the figures of its connections. None: it has no engine yet, or one without a budget."""
        pool = None if self._made is None else self._made.engine.pool
        return pool.numbers() if isinstance(pool, BudgetedPool) else None

    def set_most_connections(self, most: int | None) -> None:
        """Change how many connections there may be; None: as many as the budget allows."""
        with self._lock:
            self.most_connections = most
            if self._made is not None:
                _set_most(self._made.engine, most)

    def dispose(self) -> None:
        """Forget the engine and close its idle connections. A connection in use is closed when it is returned."""
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
                    made = _make(self._make_engine())
                    _set_most(made.engine, self.most_connections)
                    self._made = made
        return made


def _make(engine: Engine) -> _Made:
    # PostgreSQL: BEGIN READ ONLY; SQLite: PRAGMA query_only and a deferred BEGIN.
    reading = engine.execution_options(**{READ_ONLY: True, "postgresql_readonly": True})
    return _Made(engine, reading)


def _set_most(engine: Engine, most: int | None) -> None:
    if isinstance(engine.pool, BudgetedPool) and engine.pool.most != most:
        engine.pool.set_most(most)
