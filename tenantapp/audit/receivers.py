"""What takes the stream of the audit trail: an address of HTTPS, or a syslog server.

A receiver gets some lines, each a JSON object, and returns once it has taken all. Otherwise it raises ``NotSent``.
"""

import os
import socket
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from tenantapp.audit.canonical import canonical
from tenantapp.audit.errors import NotSent
from tenantapp.audit.exporting import Line
from tenantapp.outgoing.addresses import Addresses
from tenantapp.outgoing.errors import OutgoingError
from tenantapp.outgoing.sending import post
from tenantapp.outgoing.signing import signed_headers
from tenantapp.sql.times import utcnow

if TYPE_CHECKING:
    from urllib.parse import SplitResult

SECONDS: Final = 10.0  # that a receiver has for some lines
PRIORITY: Final = 13 * 8 + 6  # RFC 5424, section 6.2.1: facility "log audit", severity "informational"
MOST_DATAGRAM: Final = 60_000  # bytes; a UDP datagram has 65,507 at most
PORT: Final = 514


class Receiver(Protocol):
    """Takes lines."""

    def send(self, lines: Sequence[Line]) -> None:
        """Send lines. Raises ``NotSent`` if they were not taken, or if nobody can say."""


def receiver_of(url: "SplitResult", secret: str | None) -> Receiver:
    """Return the receiver that a setting names."""
    if url.scheme == "https":
        return Https(url.geturl(), secret or "")
    if url.scheme == "syslog+tcp":
        return SyslogStream(url.hostname or "", url.port or PORT)
    if url.scheme == "syslog+udp":
        return SyslogDatagrams(url.hostname or "", url.port or PORT)
    return SyslogDatagrams(url.path)


class Https:
    """POSTs JSON lines, signed as our webhooks are. The answer 2xx acknowledges them.

    The address is the operator's, so it may be one of a private network.
    """

    def __init__(self, url: str, secret: str, *, allow_http: bool = False) -> None:
        self._url, self._secret = url, secret
        self._addresses = Addresses(allow_http=allow_http, allow_private=True)

    def send(self, lines: Sequence[Line]) -> None:
        """Send lines in one request."""
        body = b"".join(canonical(line) + b"\n" for line in lines)
        message_id = f"audit_{sha256(body).hexdigest()[:32]}"
        headers = signed_headers(self._secret, message_id, int(utcnow().timestamp()), body)
        headers["Content-Type"] = "application/x-ndjson"
        try:
            post(self._addresses, self._url, body, headers, seconds=SECONDS)
        except OutgoingError as error:
            raise NotSent(str(error)) from error


class SyslogStream:
    """Sends messages of syslog over TCP, with their lengths (RFC 6587, section 3.4.1).

    Syslog acknowledges nothing. So we end our half of the connection, and wait until the receiver ends its own: by then
    it has read everything.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)

    def send(self, lines: Sequence[Line]) -> None:
        """Send lines over one connection."""
        messages = [_message(line) for line in lines]
        try:
            with socket.create_connection(self._address, SECONDS) as connection:
                connection.sendall(b"".join(b"%d %s" % (len(message), message) for message in messages))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        except OSError as error:
            raise NotSent(f"The syslog server {self._address[0]} does not take entries: {error}.") from error


class SyslogDatagrams:
    """Sends a datagram of syslog for each line, over UDP or to a socket of this machine. Nobody acknowledges them."""

    def __init__(self, place: str, port: int | None = None) -> None:
        self._place, self._port = place, port

    def send(self, lines: Sequence[Line]) -> None:
        """Send lines. One that is too long for a datagram is sent without its detail."""
        try:
            with self._connected() as datagrams:
                for line in lines:
                    message = _message(line)
                    datagrams.send(message if len(message) <= MOST_DATAGRAM else _message(_short(line)))
        except OSError as error:
            raise NotSent(f"The syslog server {self._place} does not take entries: {error}.") from error

    def _connected(self) -> socket.socket:
        if self._port is None:
            found: list[tuple[int, object]] = [(socket.AF_UNIX, self._place)]
        else:
            addresses = socket.getaddrinfo(self._place, self._port, type=socket.SOCK_DGRAM)
            found = [(family, address) for family, *_, address in addresses]
        family, address = found[0]
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        try:
            datagrams.settimeout(SECONDS)
            datagrams.connect(address)  # type: ignore[arg-type]
        except BaseException:
            datagrams.close()
            raise
        return datagrams


def _message(line: Line) -> bytes:
    """Return a message of RFC 5424. Its MSGID is the action, which may have 32 characters there."""
    entry = line["entry"]
    head = f"<{PRIORITY}>1 {entry['at']} {socket.gethostname()} tenantapp {os.getpid()} {entry['action'][:32]} - "
    return head.encode("ascii") + canonical(line)


def _short(line: Line) -> Line:
    detail = canonical(line["entry"]["detail"])
    return {**line, "entry": {**line["entry"], "detail": {"left_out_sha256": sha256(detail).hexdigest()}}}
