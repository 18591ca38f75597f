"""Receivers of webhooks in the tests: real servers in threads, which answer as they are told."""

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

DOCS: Final = Path(__file__).parents[1] / "docs" / "webhooks.md"


def _of_the_docs() -> Callable[[Mapping[str, str], bytes, str], bool]:
    """The function that ``docs/webhooks.md`` gives to receivers."""
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    defined: dict[str, Any] = {}
    exec(example, defined)
    found: Callable[[Mapping[str, str], bytes, str], bool] = defined["is_genuine"]
    return found


is_genuine = _of_the_docs()


@dataclass
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def data(self) -> Any:
        return json.loads(self.body)["data"]


@dataclass
class Receiver:
    """A receiver at ``url``. It gives the ``answers`` one after the other, and then 204. An answer may have headers."""

    url: str
    received: list[Received] = field(default_factory=list)
    answers: list[int | tuple[int, dict[str, str]]] = field(default_factory=list)

    def take(self) -> list[Received]:
        """Return what has come since the last time."""
        taken, self.received[:] = list(self.received), []
        return taken


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on this machine."""

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


@contextmanager
def answering(answer: Callable[[socket.socket, Event], None], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Yield the port of a server that calls ``answer`` with each connection. The event is set when it is over."""
    over = Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), closing(connection):
                    talking = context.wrap_socket(connection, server_side=True) if context else connection
                    with closing(talking):
                        answer(talking, over)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
