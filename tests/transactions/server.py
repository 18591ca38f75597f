"""A real waitress in a thread, and raw HTTP to it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from waitress import wasyncore

from tenantapp.serving.servers import make_server


@contextmanager
def serving(app: Any, threads: int = 4, **options: Any) -> Iterator[tuple[str, int]]:
    """Serve the application on a free port of the loopback interface."""
    server = make_server(app, host="127.0.0.1", port=0, threads=threads, **options)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield "127.0.0.1", int(server.effective_port)
    finally:
        server.task_dispatcher.shutdown()
        # In the loop's own thread: sockets closed by another are still in the list that it passes to select().
        server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
        thread.join(timeout=10)


def send(address: tuple[str, int], request: bytes) -> socket.socket:
    """Send a request and leave its answer to be read."""
    connection = socket.create_connection(address, timeout=10)
    connection.sendall(request)
    return connection


def exchange(address: tuple[str, int], request: bytes) -> bytes:
    """Send a request that asks for the connection to be closed, and read all of the answer."""
    with send(address, request) as connection:
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)
