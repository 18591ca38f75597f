"""Answer Prometheus, and probes, on an address of their own, from each process that serves.

All processes listen on the same address (``SO_REUSEPORT``). Each of them answers for all, so it does not matter which
one is asked.
"""

import logging
import socket
from contextlib import suppress
from functools import partial
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Event, Timer
from time import monotonic
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import orjson
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector

from tenantapp.metrics.counts import Counts
from tenantapp.metrics.fleet_figures import FleetFigures
from tenantapp.metrics.slots import Slot
from tenantapp.ops.health import OK, health

log = logging.getLogger(__name__)
EVERY: Final = 5.0  # seconds between what a process says of its present
STEP: Final = 0.5  # seconds between two writes of what was counted
PATH: Final = "/metrics"
ALIVE: Final = "/__lbheartbeat__"
HEALTH: Final = "/__heartbeat__"
PATIENCE: Final = 10.0  # seconds that a client has to send the next bytes of its request
LONGEST: Final = 30.0  # seconds of a connection
AT_ONCE: Final = 8  # connections


class _Server(ThreadingMixIn, WSGIServer):
    allow_reuse_port = True
    daemon_threads = True
    block_on_close = False

    longest = LONGEST

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._free = BoundedSemaphore(AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own. Those that are too many are closed."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection. One that takes too long is shut, whether its client sends or takes its time to read."""
        limit = Timer(self.longest, partial(_shut, request))
        limit.daemon = True
        limit.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            limit.cancel()
            self._free.release()

    def server_bind(self) -> None:
        # Not that of the base class, which would ask the DNS for the name of the address.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def address_string(self) -> str:
        return str(self.client_address[0])

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing."""


def _json(start_response: Any, works: bool, said: dict[str, Any]) -> list[bytes]:
    start_response("200 OK" if works else "503 Service Unavailable", [("Content-Type", "application/json")])
    return [orjson.dumps(said)]


class Answers:
    """Writes what this process counts and how it is, and answers Prometheus for all processes of the machine.

    ``address`` is a host and a port. ``registry`` is that of the application. A connection may take ``longest``
    seconds.
    """

    def __init__(
        self, address: tuple[str, int], slot: Slot, counts: Counts, registry: Any, longest: float = LONGEST
    ) -> None:
        self._address, self._slot, self._counts, self._registry = address, slot, counts, registry
        self._longest = longest
        self._figures = FleetFigures(registry)
        self.port = 0
        """The port, when it listens."""

    def run(self, stop: Event) -> None:
        """Say and answer until ``stop`` is set. If the address cannot be had, that is logged, and nothing answers."""
        try:
            server = self._listening()
        except OSError as error:
            log.error("Prometheus is not answered on %s:%s: %s", *self._address, error.strerror)
            return
        with server:
            self.port = server.server_port
            server.timeout, said = STEP, float("-inf")
            while not stop.is_set():
                if monotonic() - said > EVERY:
                    self._say()
                    self._slot.touch()
                    said = monotonic()
                server.handle_request()
                self._counts.keep()
            self._counts.keep()

    def _listening(self) -> _Server:
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        kind = type("_ServerOfFamily", (_Server,), {"address_family": family, "longest": self._longest})
        server: _Server = kind(self._address, _Handler)
        server.set_app(self._answer)
        return server

    def _answer(self, environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path == ALIVE:
            return _json(start_response, True, {"status": OK})
        if path == HEALTH:
            with self._registry.bulkhead.request():
                return _json(start_response, *health(self._registry))
        if path != PATH:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [f"Ask for {PATH}.\n".encode()]
        self._counts.keep()
        self._say()
        self._slot.forget_ended()
        collected = CollectorRegistry()
        MultiProcessCollector(collected, path=str(self._slot.directory))  # type: ignore[no-untyped-call]
        collected.register(self._figures)
        return make_wsgi_app(collected)(environ, start_response)

    def _say(self) -> None:
        try:
            self._counts.say(self._registry)
        except Exception:
            log.exception("The state of this process could not be counted.")
