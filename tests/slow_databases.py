"""Databases that make whoever asks them wait: locked ones, frozen ones, and servers that never answer."""

import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, select, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tenantapp.identity.models import Tenant
from tenantapp.sql import silence
from tenantapp.tenancy.servers import SqliteServer
from tests.installation import Installation

QUICK: Final = silence.Times(quiet=0.2, answer=0.3, silent=0.3, again=0.2)
PATIENCE: Final = 20.0  # seconds; generous, for a machine with much to do


def database_of(installation: Installation, slug: str) -> str:
    """The name of a tenant's database on its server."""
    with installation.registry.user_db.begin(read_only=True) as session:
        return str(session.scalars(select(Tenant.database).where(Tenant.slug == slug)).one())


@contextmanager
def locked(installation: Installation, slug: str) -> Iterator[None]:
    """Nobody writes to the tenant's nodes, and on PostgreSQL nobody reads them, while this block is at work."""
    server, database = installation.registry.servers["main"], database_of(installation, slug)
    if isinstance(server, SqliteServer):
        with closing(sqlite3.connect(server.path(database), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
        return
    engine = create_engine(server.url.set(database=database), poolclass=NullPool)
    with engine.connect() as connection:
        # For connections that are made later: a test takes as long as the machine lets it.
        connection.exec_driver_sql(f"ALTER DATABASE \"{database}\" SET lock_timeout = '60s'")
        connection.commit()
        connection.exec_driver_sql("LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def locked_user_database(installation: Installation) -> Iterator[None]:
    """Nobody signs in or out; on PostgreSQL nobody finds out who is asking."""
    url = installation.registry.app_settings.user_db_url
    if url.drivername.startswith("sqlite"):
        with closing(sqlite3.connect(str(url.database), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
        return
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("LOCK TABLE web_sessions, users IN ACCESS EXCLUSIVE MODE")
        yield


def backends(installation: Installation, database: str) -> list[int]:
    """The PostgreSQL processes at the other end of the connections to a database."""
    engine = create_engine(installation.registry.servers["main"].url.set(database="postgres"), poolclass=NullPool)
    with engine.connect() as connection:
        statement = text("SELECT pid FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()")
        return list(connection.scalars(statement, {"name": database}))


@contextmanager
def stopped(*processes: int) -> Iterator[None]:
    """These processes do nothing while this block is at work."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


@contextmanager
def frozen(server: URL) -> Iterator[None]:
    """No process of a server of our own does anything while this block is at work. It takes connections, silently."""
    first = Path(str(server.query["host"]), "postmaster.pid").read_text().split()[0]
    with ExitStack() as all_stopped:
        all_stopped.enter_context(stopped(int(first)))  # before it makes more of them
        others = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        all_stopped.enter_context(stopped(*map(int, others)))
        yield


@contextmanager
def impatient(**times: float) -> Iterator[None]:
    """Threads that serve no request have little patience with silent servers while this block is at work."""
    silence.watch.stop()
    usual, silence.watch.times = silence.watch.times, replace(QUICK, **times)
    try:
        yield
    finally:
        silence.watch.stop()
        silence.watch.times = usual


class MuteServer:
    """Takes connections and says nothing; or, after the first word about TLS, nothing more.

    With an address it hands everything on to the server there, until it is told to say nothing.
    """

    def __init__(self, *, after_tls: bool = False, behind: str | None = None) -> None:
        self.mute = behind is None
        self._after_tls = after_tls
        self._behind = behind
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.accepted = 0

    def __enter__(self) -> "MuteServer":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                self.accepted += 1
                self._open.append(client)
                if self._behind is not None and not self.mute:
                    self._connect(client, self._behind)
                elif self._after_tls:
                    client.recv(8)
                    client.sendall(b"S")

    def _connect(self, client: socket.socket, behind: str) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(behind)
        self._open.append(server)
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=self._hand_on, args=(one, other), daemon=True).start()

    def _hand_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while part := one.recv(65536):
                if self.mute:
                    return
                other.sendall(part)
            other.shutdown(socket.SHUT_WR)


class Sent(threading.Thread):
    """A request in a thread of its own."""

    def __init__(self, send: Callable[..., Any], *arguments: Any) -> None:
        super().__init__(daemon=True)
        self._send = partial(send, *arguments)
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        started = time.monotonic()
        self.answer = self._send()
        self.seconds = time.monotonic() - started

    def outcome(self) -> tuple[int, str | None]:
        """Status of the answer, and its code if it is an error."""
        self.join(PATIENCE)
        assert not self.is_alive(), "it hangs"
        failed = self.answer.status_int >= 400
        return self.answer.status_int, self.answer.json["code"] if failed else None


def at_last(condition: Callable[[], bool]) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
