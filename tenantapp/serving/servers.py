"""The servers of a process: one for each address that it listens on, with the same threads and the same loop."""

import errno
import logging
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from time import monotonic
from typing import Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import MultiSocketServer, TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from tenantapp.serving.connections import Channel, Limits
from tenantapp.serving.incoming import IN_MEMORY, PIECE
from tenantapp.serving.proxy_headers import TrustedProxy, believe_proxy
from tenantapp.serving.refusals import HEAD_LIMIT

log = logging.getLogger(__name__)
AHEAD: Final = 256 * 2**20  # bytes of an answer that wait for a slow client, in a temporary file, without a thread
UNBOUNDED: Final = 2**62
WITHOUT_FILES: Final = 1.0  # seconds until another attempt to accept a connection
SWEEP: Final = 1.0  # seconds between two looks at the deadlines
STANDARD: Final = Limits()
DEFAULTS: Final = {
    "max_request_header_size": HEAD_LIMIT,
    "ident": "",
    "recv_bytes": PIECE,
    "inbuf_overflow": IN_MEMORY,
    "outbuf_high_watermark": AHEAD,
}


class Server(TcpWSGIServer):
    """A listening socket and its connections.

    It accepts a connection only while it has a thread for a request; the others wait where any process can accept them.
    ``keepalive`` is for how many seconds a connection without a request is kept; with 0, each answer closes its own.
    ``largest`` is the longest body that it receives unless the application says otherwise, in bytes.
    """

    channel_class = Channel

    def __init__(
        self,
        application: Any,
        *args: Any,
        keepalive: float,
        largest: int,
        proxy: TrustedProxy,
        limits: Limits,
        **options: Any,
    ) -> None:
        self.keepalive, self.largest, self.is_proxy, self.limits = keepalive, largest, proxy.is_at, limits
        self.stops_at = float("inf")
        self._accepts_from = 0.0
        self.busy: int = 0
        self._lock, self._swept = Lock(), 0.0
        self._doomed: list[Channel] = []
        super().__init__(application, *args, **options)

    @property
    def closes_connections(self) -> bool:
        """Return whether answers close their connections.

        They do while there are more requests than threads. Otherwise the requests on kept connections could take turns
        for ever, and what waits to be accepted would not be served.
        """
        return not self.keepalive or self.stops_at < float("inf") or self.busy > self.adj.threads

    def readable(self) -> bool:
        """Return whether to accept a connection. The loop asks in each turn."""
        return self.accepting and self.busy < self.adj.threads and monotonic() >= self._accepts_from

    def handle_accept(self) -> None:
        """Accept a connection. If there are too many, give up the one that is worth the least."""
        if len(self.active_channels) >= self.limits.connections:
            self._doomed.append(min(self.active_channels.values(), key=lambda channel: channel.worth))
        super().handle_accept()

    def accept(self) -> Any:
        """Accept a connection. If no file is left for it, wait: the loop would try again at once, all the time."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            log.warning("A connection waits, because this process or the machine has too many open files.")
            self._accepts_from = monotonic() + WITHOUT_FILES
            return None

    def add_task(self, task: Any) -> None:
        """Give a request, or a question, to a thread."""
        with self._lock:
            self.busy += 1
        super().add_task(task)

    def has_finished(self) -> None:
        """Take note that a thread is free. The loop may wait for that."""
        with self._lock:
            self.busy -= 1
        self.pull_trigger()

    def idle_until(self, channel: Channel) -> float:
        """Return when a connection without a request is given up."""
        answered = channel.moved > channel.begun
        return channel.moved + self.keepalive if answered else channel.deadline

    def stop(self) -> None:
        """Accept no more connections, and keep those without a request only for a moment."""
        self.accepting = False
        self.stops_at = monotonic() + self.limits.linger
        self.pull_trigger()

    @property
    def has_stopped(self) -> bool:
        """Return whether every request was answered."""
        return all(channel.lingering for channel in self.active_channels.values())

    def look_after(self) -> None:
        """Give up connections, between two turns of the loop.

        Not within a turn: the number of a file that is closed there may be another connection's before the turn ends.
        """
        for channel in self._doomed:
            channel.handle_close()
        self._doomed.clear()
        now = monotonic()
        if now > self._swept + SWEEP:
            self._swept = now
            for channel in list(self.active_channels.values()):
                if channel.is_overdue(now):
                    channel.give_up()

    def run(self) -> None:
        """Serve until the process is interrupted."""
        run([self])


def run(servers: Sequence[Server]) -> None:
    """Serve with these servers, which share a map of connections, until the process is interrupted."""
    try:
        while servers[0]._map:
            turn(servers)
    except (SystemExit, KeyboardInterrupt):
        servers[0].task_dispatcher.shutdown()


def turn(servers: Sequence[Server]) -> None:
    """Wait for at most a second until connections can be read or written, and read and write those."""
    for server in servers:
        server.look_after()
    wasyncore.loop(timeout=1.0, use_poll=True, map=servers[0]._map, count=1)


def make_servers(
    application: Any, *, keepalive: float, largest: int, proxy: TrustedProxy, limits: Limits = STANDARD, **options: Any
) -> list[Server]:
    """Return the servers, listening. ``options`` are waitress's. They share a map of connections, and threads."""
    # The server accepts no more than it has threads for. What its kept connections ask beyond that is no mistake.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    adjustments = Adjustments(**{**DEFAULTS, **options})
    # Bodies are bounded when the application has been asked about them. waitress would do it before.
    adjustments.max_request_body_size = UNBOUNDED
    adjustments.trusted_proxy, adjustments.clear_untrusted_proxy_headers = None, False
    dispatcher, connections = ThreadedTaskDispatcher(), dict[int, Any]()
    dispatcher.set_thread_count(adjustments.threads)
    places = [
        (socket, (socket.family, socket.type, socket.proto, socket.getsockname())) for socket in adjustments.sockets
    ]
    return [
        Server(
            *(believe_proxy(application, proxy), connections, True, socket, dispatcher, adjustments, place),
            bind_socket=socket is None,
            keepalive=keepalive,
            largest=largest,
            proxy=proxy,
            limits=limits,
        )
        for socket, place in places or [(None, place) for place in adjustments.listen]
    ]


class Several(MultiSocketServer):
    """Several servers that run as one: one for each address that a name has."""

    def __init__(self, servers: list[Server], *args: Any) -> None:
        self._servers = servers
        super().__init__(*args)

    def run(self) -> None:
        """Serve until the process is interrupted."""
        run(self._servers)


def make_server(application: Any, **options: Any) -> Any:
    """Return what waitress's ``serve`` runs, in place of waitress's own servers. ``options`` are waitress's."""
    if "unix_socket" in options:
        raise ValueError("unix_socket is not served; use host and port")
    proxy = TrustedProxy(
        options.pop("trusted_proxy", None) or None,
        int(options.pop("trusted_proxy_count", 1)),
        **{"headers": frozenset(options.pop("trusted_proxy_headers").split())}
        if "trusted_proxy_headers" in options
        else {},
    )
    keepalive, largest = float(options.pop("channel_timeout", 120)), int(options.pop("max_request_body_size", 2**30))
    if "connection_limit" in options:
        options["limits"] = replace(STANDARD, connections=int(options.pop("connection_limit")))
    servers = make_servers(application, keepalive=keepalive, largest=largest, proxy=proxy, **options)
    if len(servers) == 1:
        return servers[0]
    first = servers[0]
    listening = [(server.effective_host, server.effective_port) for server in servers]
    return Several(servers, first._map, first.adj, listening, first.task_dispatcher, first.log_info)
