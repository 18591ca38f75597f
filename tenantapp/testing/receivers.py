"""A receiver of webhooks: a real server in a thread, which answers as it is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = int | tuple[int, dict[str, str]]
"""A status, perhaps with headers."""


@dataclass
class Received:
    """A request as it came. The names of the headers are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Return the id of the message: the same when it is sent again."""
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        """Return what the message tells: ``books.created``."""
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> Any:
        """Return which row it tells about: ``resource``, ``id``, ``kind``, ``version`` and more."""
        return json.loads(self.body)["data"]


@dataclass
class Receiver:
    """A receiver at ``url``. It gives the ``answers`` one after the other, and then 204."""

    url: str
    received: list[Received] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def take(self) -> list[Received]:
        """Return what has come since the last time."""
        taken, self.received[:] = list(self.received), []
        return taken


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Yield a receiver on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(self.path, headers, body))
            answer = receiver.answers.pop(0) if receiver.answers else 204
            status, more = (answer, {}) if isinstance(answer, int) else answer
            self.send_response(status)
            for name, value in {**more, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hooks")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
