"""Make the engines of one server's databases.

The engines share one dialect and one cache of compiled statements. So the statements are compiled already when a
database is first opened, and an engine takes a few KiB instead of some hundred.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Engine
from sqlalchemy.util import LRUCache

from tenantapp.settings import Settings, SettingsError
from tenantapp.sql import postgres_connections
from tenantapp.sql.breaker import Breaker, Health, Unavailable
from tenantapp.sql.budget import ConnectionBudget
from tenantapp.sql.engines import (
    PROBE_PAUSE,
    UNAVAILABLE,
    UNPREPARED,
    engine_options,
    listen_on_engine,
    listen_on_pool,
    open_connection,
    translate,
)
from tenantapp.sql.open_files import TooFewFiles, allow_connections, most_connections
from tenantapp.sql.pool import BudgetedPool
from tenantapp.tenancy.servers import Server, Servers, SqliteServer

log = logging.getLogger(__name__)

PROVISIONAL_LIMIT: Final = 8  # connections, until the server has reported how many it allows
SMALLEST_LIMIT: Final = 4  # connections, even if the process's share is smaller; one for each thread by default
SILENT_DATABASES: Final = 2  # databases that do not answer, after which the server counts as silent
COMPILED_STATEMENTS: Final = 1000  # SQLAlchemy's own default is 500 for each engine

Connect = Callable[[], Any]


class ServerEngines:
    """Makes the engines of a server's databases. Their pools share one budget of connections.

    ``limit`` is the budget. If it is None, the first connection determines it: what the server allows, divided by
    ``workers``, the number of processes that share the server. ``timeout`` is the longest wait for a free connection.
    ``probe_pause`` is the time between two attempts to reach a server that does not answer. Both are in seconds.
    ``sqlite_servers`` is the number of servers that share the open files.
    """

    def __init__(
        self,
        server: Server,
        *,
        limit: int | None,
        workers: int,
        timeout: float,
        probe_pause: float = PROBE_PAUSE,
        sqlite_servers: int = 1,
    ) -> None:
        template_url = server.traffic_url("template")
        self.budget = ConnectionBudget(limit or PROVISIONAL_LIMIT, timeout)
        self.breaker = Breaker(probe_pause, SILENT_DATABASES)
        self._probe_pause = probe_pause
        self._unprepared = server.behind_pgbouncer
        self._workers = workers
        self._ask_for_limit = limit is None
        if limit is None and isinstance(server, SqliteServer):
            # The limit on open files holds for each process.
            self._set_limit(most_connections(sqlite_servers) * workers)
        self._compiled: LRUCache[Any, Any] = LRUCache(COMPILED_STATEMENTS)
        self._options = engine_options(template_url, behind_pgbouncer=server.behind_pgbouncer)
        health = Health(_never, self.breaker, probe_pause)
        self._pool = BudgetedPool(_never, budget=self.budget, health=health, keep=not server.behind_pgbouncer)
        # Its connect event initializes the dialect at the first connection to any of the databases.
        self._template = create_engine(template_url, pool=self._pool, **self._options)
        listen_on_pool(self._pool, template_url)
        # The engines share the listeners of the dialect. An execution option tells whose database an engine leads to.
        event.listen(self._template, "handle_error", translate)

    def make(self, url: URL, *, unavailable: Unavailable, verify: Callable[[Any], None]) -> Engine:
        """Return the engine of one database. It does not connect yet.

        ``unavailable`` makes the exception that is raised if the database fails. ``verify`` is called with each new
        DBAPI connection. If it raises, the connection is closed and not used. See also ``listen_on_engine``.
        """
        health = Health(unavailable, self.breaker, self._probe_pause)
        pool = self._pool.sibling(self._connector(url, verify, health), health)
        options = {"compiled_cache": self._compiled, UNAVAILABLE: unavailable, UNPREPARED: self._unprepared}
        engine = self._engine(pool, url, options)
        listen_on_engine(engine, verify)
        return engine

    def _engine(self, pool: BudgetedPool, url: URL, options: Mapping[str, Any]) -> Engine:
        try:
            return Engine(pool, self._template.dialect, url, execution_options=options, hide_parameters=True)
        except TypeError:
            # Another version of SQLAlchemy, where the constructor differs. This way is slower, but correct.
            log.warning("Engines cannot share a dialect with this version of SQLAlchemy.", exc_info=True)
            engine = create_engine(url, pool=pool, execution_options=options, **self._options)
            event.listen(engine, "handle_error", translate)
            return engine

    def _connector(self, url: URL, verify: Callable[[Any], None], health: Health) -> Connect:
        dialect = self._template.dialect
        postgres = url.get_backend_name() == "postgresql"
        options = self._options["connect_args"]

        def connect() -> Any:
            arguments, keywords = dialect.create_connect_args(url)
            if url.password is not None:
                keywords["password"] = url.password  # as it is: the dialect makes a plain string of it
            connection = open_connection(dialect, arguments, keywords | options, health, self.budget)
            try:
                if postgres:
                    connection.autocommit = True  # saves BEGIN and ROLLBACK around the following queries
                verify(connection)
                if self._ask_for_limit:
                    self._set_limit(postgres_connections.usable_connections(connection))
                if postgres:
                    connection.autocommit = False
                else:
                    connection.verify = verify
            except BaseException:
                connection.close()
                raise
            return connection

        return connect

    def _set_limit(self, usable: int) -> None:
        self._ask_for_limit = False
        self.budget.set_limit(max(SMALLEST_LIMIT, usable // self._workers))


def engines_of(servers: Servers, settings: Settings) -> dict[str, ServerEngines]:
    """Return the engines of all servers, by the server's name."""
    return {name: engines_on(server, settings) for name, server in servers.items()}


def engines_on(server: Server, settings: Settings) -> ServerEngines:
    """Return the engines of a server, with the limits of the settings."""
    return ServerEngines(
        server,
        limit=settings.connections_budget,
        workers=settings.connections_workers or 1,
        timeout=settings.connections_timeout,
        probe_pause=settings.connections_probe,
        sqlite_servers=max(1, _sqlite_servers(settings)),
    )


def check_open_files(settings: Settings) -> None:
    """Raise ``SettingsError`` if the process may not have as many files open as the budget needs on SQLite."""
    count = _sqlite_servers(settings)
    if settings.connections_budget is None or not count:
        return
    try:
        allow_connections(settings.connections_budget * count)
    except TooFewFiles as error:
        raise SettingsError(
            f"setting connections.budget is {settings.connections_budget}, for which the SQLite files of"
            f" {'a server' if count == 1 else f'{count} servers'} need {error.needed} open files, and this process may"
            f" have {error.allowed}: lower the setting, or raise the limit (ulimit -n, LimitNOFILE)"
        ) from error


def _sqlite_servers(settings: Settings) -> int:
    return sum(url.get_backend_name() == "sqlite" for url in settings.servers.values())


def _never(*_: object) -> Any:
    raise RuntimeError("the template of a server's engines does not connect")
