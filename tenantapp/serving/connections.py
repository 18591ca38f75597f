"""Receive whole requests and send whole answers in one loop, so that a slow client never holds a thread.

waitress reads and writes all connections of a process in one loop, and gives a thread only to a request that has
arrived. It waits for any client that sends a byte now and then. Here each connection has a deadline, which moves on
with the bytes that travel: who sends or reads too slowly for long is given up (``Limits``). If there are too many
connections, the one that is least worth waiting for makes room for the next.

A long body is not received for whoever sends one. The application is asked first, without the body: it answers, for
example 401 or 413, or says that it wants to read it (``asking.py``).
"""

import logging
import socket
import struct
import sys
from dataclasses import dataclass
from threading import RLock
from time import monotonic
from typing import Any, Final

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from tenantapp.serving.asking import Question
from tenantapp.serving.incoming import PIECE, Request
from tenantapp.serving.outgoing import Outgoing
from tenantapp.serving.refusals import Answer, NoRoom, TimedOut, refusal

log = logging.getLogger(__name__)
WAITED: Final = "tenantapp.waited"
COUNTED: Final = "tenantapp.counted"
TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
LAST_DATA: Final = 52  # where struct tcp_info of Linux has the milliseconds since data was received


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a connection is waited for, and how many there may be."""

    head: float = 10.0
    """Seconds for the first byte, and from there for the request line and the headers."""
    patience: float = 30.0
    """Most seconds without a byte, while a body arrives or an answer leaves."""
    slowest: int = 1024
    """Bytes in a second: 8 kbit/s."""
    linger: float = 2.0
    """Seconds in which a client has to close its side. Until then, what it sends is thrown away."""
    connections: int = 500
    """In a process. Each is an open file, of which a process may usually have 1024."""
    fresh: float = 1.0
    """Seconds for which another connection does not take the place of one that has just been accepted."""


class Task(WSGITask):
    """A request that a thread answers."""

    chunked_response: bool

    def get_environment(self) -> dict[str, Any]:
        """Return the environment. It says how long the request has waited, and what it was counted for."""
        environ: dict[str, Any] = super().get_environment()
        environ[WAITED] = monotonic() - self.request.arrived + (self.channel.accepted_late or 0.0)
        environ[COUNTED] = self.request.counted
        return environ

    def build_response_header(self) -> bytes:
        """Return the head of the answer. It closes the connection if the server keeps none."""
        if self.channel.server.closes_connections:
            self.request.headers["CONNECTION"] = "close"
        head: bytes = super().build_response_header()
        return head

    def finish(self) -> None:
        """End the answer. That to HEAD has no body, so no last chunk either."""
        if not self.wrote_header:
            self.write(b"")
        self.chunked_response = self.chunked_response and self.request.command != "HEAD"
        super().finish()


class Refusal(ErrorTask):
    """An answer of the server itself, or one that the application has given already. It closes the connection."""

    def execute(self) -> None:
        """Write the answer."""
        error, self.version = self.request.error, "1.1"
        server, client = self.channel.server, self.channel.addr[0]
        if not isinstance(error, Answer):
            error = refusal(error.code, client, secure=server.is_proxy(client))
        self.status, self.response_headers = error.status, list(error.headers)
        self.set_close_on_finish()
        self.content_length = len(error.body)
        self.write(error.body)


class Channel(HTTPChannel):
    """A connection. ``deadline`` is when it is given up, in the time of ``monotonic``."""

    # Attributes of waitress, which has no types.
    adj: Any
    request: Request | None
    requests: list[Request]
    close_when_flushed: bool
    total_outbufs_len: int
    current_outbuf_count: int

    parser_class = Request
    task_class = Task
    error_task_class = Refusal

    def __init__(self, server: Any, sock: Any, addr: Any, adj: Any, map: Any = None) -> None:
        self.limits: Limits = server.limits
        self.begun = self.moved = monotonic()
        self.deadline = self.begun + self.limits.head
        self.asking = self.lingering = False
        self.accepted_late: float | None = None
        """Seconds that the first request was here before the connection was accepted, if that is known already."""
        super().__init__(server, sock, addr, adj, map=map)
        self.outbufs = [Outgoing()]
        self.sendbuf_len = PIECE  # not the socket's: that may be megabytes, read again for each send
        # A refusal is added while the lock is held.
        self.requests_lock = RLock()

    # The bytes that travel move the deadline on.

    def recv(self, size: int) -> bytes:
        """Receive some bytes."""
        data: bytes = super().recv(size)
        if data and self.accepted_late is None:
            self.accepted_late = seconds_since_data(self.socket)
        self._move(len(data))
        return data

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send some bytes. Return how many."""
        sent: int = super().send(data, do_close=do_close)
        self._move(sent)
        return sent

    def _move(self, count: int) -> None:
        if count and not self.lingering:
            self.moved = monotonic()
            self.deadline = min(self.moved + self.limits.patience, self.deadline + count / self.limits.slowest)

    # Requests

    def readable(self) -> bool:
        """Return whether the loop should read: not while the application is asked."""
        return self.lingering or bool(not self.asking and super().readable())

    def handle_read(self) -> None:
        """Read what has arrived. After the answer it is thrown away until the client closes its side."""
        if not self.lingering:
            super().handle_read()
        elif not self.recv(self.adj.recv_bytes):
            self.handle_close()

    def received(self, data: bytes) -> bool:
        """Add what has arrived to the request, and give the request to a thread when it is whole."""
        if self.request is None:
            self.begun = monotonic()
            self.deadline = self.begun + self.limits.head
        try:
            received = bool(super().received(data))
        except OSError as error:
            log.warning("There is no room for the body of a request: %s", error.strerror)
            self.refuse(NoRoom(""))
            return True
        if self.request is not None and self.request.headers_finished:
            self._receive_body(self.request)
        return received

    def _receive_body(self, request: Request) -> None:
        if not request.head_seen:
            request.head_seen = True
            self.deadline = monotonic() + self.limits.patience
        if request.is_long and not request.asked:
            request.asked = self.asking = True
            self.server.add_task(Question(self, request))

    def go_on(self) -> None:
        """Receive the body about which the application was asked. A thread calls this."""
        if self.request is not None and self.request.wants_continue and self.connected:
            self.send_continue()
        self.deadline = monotonic() + self.limits.patience
        self.asking = False

    def refuse(self, error: Any) -> None:
        """Answer an error of waitress, or an ``Answer``, in place of what has arrived, and close the connection."""
        with self.requests_lock:
            request, self.request = self.request or Request(self.adj), None
            request.error, request.completed = error, True
            self.requests.append(request)
            self.asking = False
            if len(self.requests) == 1:
                self.server.add_task(self)

    def service(self) -> None:
        """Answer a request. A thread calls this."""
        try:
            super().service()
        finally:
            self.accepted_late = 0.0
            self.server.has_finished()

    def cancel(self) -> None:
        """Give up a request that no thread has begun to answer."""
        super().cancel()
        self.server.has_finished()

    def write_soon(self, data: Any) -> int:
        """Send a part of an answer, now or later. A thread calls this.

        It waits for the client only beyond ``outbuf_high_watermark``. Raises ``ClientDisconnected``.
        """
        with self.outbuf_lock:
            if self.current_outbuf_count >= self.adj.outbuf_high_watermark or not isinstance(
                self.outbufs[-1], Outgoing
            ):
                self.outbufs.append(Outgoing())
                self.current_outbuf_count = 0
        written: int = super().write_soon(data)
        return written

    # The end

    def handle_close(self) -> None:
        """Close the connection, and the body that has not arrived whole: a long one is in a temporary file."""
        super().handle_close()
        if self.request is not None:
            self.request.close()

    def handle_write(self) -> None:
        """Send what is to be sent. When all of the last answer is, close our side of the connection."""
        with self.requests_lock:  # a thread that has finished says so under the lock
            closing, self.close_when_flushed = self.close_when_flushed, False
            super().handle_write()
            if closing and self.total_outbufs_len:
                self.close_when_flushed = True
            elif closing and self.connected:  # and not if the client has gone meanwhile
                self._linger()

    def _linger(self) -> None:
        """Close our side, and wait for the client's: otherwise it may lose the answer (RFC 9112, section 9.6)."""
        self.lingering, self.deadline = True, monotonic() + self.limits.linger
        try:
            self.socket.shutdown(1)
        except OSError:
            self.handle_close()

    # Deadlines

    @property
    def is_idle(self) -> bool:
        """Return whether nothing of a request is here."""
        return not (self.requests or self.request or self.total_outbufs_len or self.lingering)

    @property
    def worth(self) -> tuple[int, float]:
        """Return how much the connection is worth waiting for, against others: the least is given up first.

        That is one that was answered and is kept, the longer the less. Then come those whose head has not arrived, the
        oldest first, and those that send or read slowly. Then come fresh ones, those that send or read well, and last
        those whose request is at work.
        """
        now = monotonic()
        if self.lingering or (self.is_idle and self.moved > self.begun):
            return 0, self.moved
        if self.requests or self.asking:
            return 5, 0
        if self.total_outbufs_len or (self.request and self.request.headers_finished):
            return (2 if self.deadline - now < self.limits.patience / 2 else 4), self.deadline
        return (1 if now - self.begun > self.limits.fresh else 3), self.begun

    def is_overdue(self, now: float) -> bool:
        """Return whether the deadline has passed. While the application works, there is none."""
        if (self.requests or self.asking) and not self.total_outbufs_len:
            self.deadline = now + self.limits.patience
        ends: float = min(self.server.idle_until(self), self.server.stops_at) if self.is_idle else self.deadline
        return now > ends

    def give_up(self) -> None:
        """Close the connection. If a part of a request has arrived, answer 408 first (RFC 9110, section 15.5.9)."""
        if self.request and not self.requests and not self.total_outbufs_len:
            self.refuse(TimedOut(""))
        else:
            self.handle_close()


def seconds_since_data(connection: Any) -> float:
    """Return how long ago the last data of a connection arrived, if the system says so.

    What waits to be accepted waits in the system. Only there it is known for how long.
    """
    if TCP_INFO is None or sys.platform != "linux":
        return 0.0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, TCP_INFO, LAST_DATA + 4)
    except OSError:
        return 0.0
    milliseconds: int = struct.unpack_from("=I", info, LAST_DATA)[0] if len(info) >= LAST_DATA + 4 else 0
    return milliseconds / 1000
