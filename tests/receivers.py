"""Receivers of webhooks in the tests: what the docs tell them to check, and servers that speak as a test wants."""

import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
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
