"""One database: its engine, its sessions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import Session, sessionmaker

from tenantapp.tenancy.engines import READ_ONLY, make_engine


class DBFactory:
    """Owns the engine and the ``sessionmaker`` of one database, and hands out sessions.

    Made once and shared by all threads; the engine is made at its first use and connects when a session first
    executes something. Parameters are those of ``make_engine``.
    """

    def __init__(
        self,
        url: URL,
        *,
        unavailable: Callable[[], Exception],
        verify: Callable[[Any], None] | None = None,
        autocommit: bool = False,
        pool_timeout: float = 2.0,
    ) -> None:
        self._url = url
        self._options: dict[str, Any] = {
            "unavailable": unavailable,
            "verify": verify,
            "autocommit": autocommit,
            "pool_timeout": pool_timeout,
        }
        self._engine: Engine | None = None
        self._lock = Lock()
        self._make_session = sessionmaker(autoflush=False)

    @property
    def engine(self) -> Engine:
        """The engine, made at first use."""
        if self._engine is None:
            with self._lock:
                if self._engine is None:
                    self._engine = make_engine(self._url, **self._options)
        return self._engine

    def get_session(self, *, read_only: bool = False) -> Session:
        """A new session; whoever asks for it closes it. The database refuses writes in a read-only one."""
        engine = self.engine
        if read_only:
            # Shares the pool. PostgreSQL: BEGIN READ ONLY; SQLite: PRAGMA query_only and a deferred BEGIN.
            engine = engine.execution_options(**{READ_ONLY: True, "postgresql_readonly": True})
        return self._make_session(bind=engine)

    @contextmanager
    def begin(self, *, read_only: bool = False) -> Iterator[Session]:
        """A session for a ``with`` block outside a request: commits at its end, rolls back on an exception."""
        with self.get_session(read_only=read_only) as session, session.begin():
            yield session

    def checkedout(self) -> int:
        """How many connections are in use right now."""
        return 0 if self._engine is None else self._engine.pool.checkedout()  # type: ignore[attr-defined]

    def dispose(self) -> None:
        """Close the connections that are not in use. One that is in use is closed when it is given back."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()
