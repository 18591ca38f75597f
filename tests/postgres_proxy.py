"""Stands between an application and PostgreSQL, and loses the COMMIT that it is told to lose."""

import select
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL

COMMIT: Final = b"COMMIT\x00"
SOCKET: Final = ".s.PGSQL.5432"
# What a backend says that an operator ends while it waits for a statement.
FIELDS: Final = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
FAREWELL: Final = b"E" + (4 + len(FIELDS)).to_bytes(4) + FIELDS


class PostgresProxy:
    """Listens in a directory of its own. ``url`` leads through it to the server."""

    def __init__(self, server: URL, directory: Path) -> None:
        self.url = server.set(host=None, port=None).update_query_dict({"host": str(directory)})
        self.lost = 0
        self._losing: str | None = None
        self._server = server
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(directory / SOCKET))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_next_commit(self, *, done: bool) -> None:
        """End the connection on which the next COMMIT comes: when the server has done it, or before it hears of it."""
        self._losing = "done" if done else "not done"

    def end_after_next_commit(self) -> None:
        """End the connection as the server does that is told to end it just when it has confirmed a COMMIT."""
        self._losing = "confirmed"

    def close(self) -> None:
        """Take no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with suppress(OSError), client, self._connect() as server:
            while True:
                for sender in select.select([client, server], [], [])[0]:
                    data = sender.recv(65536)
                    if sender is client and COMMIT in data and self._losing:
                        return self._lose(server, data, client)
                    if not data:
                        return None
                    (server if sender is client else client).sendall(data)

    def _connect(self) -> socket.socket:
        if self._server.host:
            return socket.create_connection((self._server.host, self._server.port or 5432))
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{self._server.query['host']}/{SOCKET}")
        return connection

    def _lose(self, server: socket.socket, commit: bytes, client: socket.socket) -> None:
        how, self._losing = self._losing, None
        self.lost += 1
        if how != "not done":
            server.sendall(commit)
            answer = server.recv(65536)
            if how == "confirmed":
                client.sendall(answer + FAREWELL)


@contextmanager
def proxied(server: URL) -> Iterator[PostgresProxy]:
    """A proxy before this server, which listens on a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="tenantapp-proxy-") as directory:
        proxy = PostgresProxy(server, Path(directory))
        try:
            yield proxy
        finally:
            proxy.close()
