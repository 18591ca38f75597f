"""Send one request, over a connection to an address that was checked.

Neither redirects nor the environment's proxies are followed, and no more is read of an answer than is asked for.
"""

import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from typing import Any, Final

from tenantapp.outgoing.addresses import Addresses, Target
from tenantapp.outgoing.errors import RequestFailed
from tenantapp.trace_context import traced_call

MOST_READ: Final = 8192  # bytes of an answer besides its body
MOST_TRIED: Final = 3  # addresses of a name
USER_AGENT: Final = "tenantapp/1"


@dataclass(frozen=True, slots=True)
class Received:
    """An answer. Its body is empty if none was asked for."""

    status: int
    body: bytes


def post(
    addresses: Addresses,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float,
    context: ssl.SSLContext | None = None,
) -> int:
    """Send JSON to a URL and return the status of the answer, which is from 200 to 299.

    The arguments are those of ``exchange``. Raises ``TargetRefused`` and ``RequestFailed``.
    """
    sent = {"Content-Type": "application/json", "Accept": "*/*", **headers}
    status = exchange(addresses, "POST", url, body, sent, seconds=seconds, context=context).status
    if not 200 <= status < 300:
        raise RequestFailed(f"The receiver answered {status}.", status)
    return status


def exchange(
    addresses: Addresses,
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    seconds: float,
    most: int | None = None,
    context: ssl.SSLContext | None = None,
) -> Received:
    """Send a request and return the answer, of any status but a redirect.

    All of it takes ``seconds`` at most, to the connection and to the answer. ``most`` is how many bytes the body of the
    answer may have; without it, the body is not read. ``context`` is for tests that have certificates of their own. If
    this thread is traced, the request has a ``traceparent``.
    Raises ``TargetRefused`` and ``RequestFailed``.
    """
    ends = time.monotonic() + seconds
    target = addresses.read(url)
    try:
        with traced_call(method) as call:
            found = addresses.of(target, seconds)
            with _connect(target, found, ends, context) as connection:
                connection.settimeout(_left(ends))
                connection.sendall(_request(method, target, body, {**headers, **call.headers}))
                received = _receive(connection, ends, most)
            call.answered(received.status)
    except TimeoutError as error:
        raise RequestFailed(f"{target.host} did not answer within {seconds:g} seconds.") from error
    except ssl.SSLCertVerificationError as error:
        raise RequestFailed(f"The certificate of {target.host} is refused: {error.verify_message}.") from error
    except (HTTPException, OSError, ValueError) as error:
        raise RequestFailed(f"{target.host} cannot be reached, or does not speak HTTP: {_told(error)}.") from error
    if 300 <= received.status < 400:
        raise RequestFailed(f"{target.host} answered {received.status}. Redirects are not followed.", received.status)
    return received


def _connect(target: Target, found: Any, ends: float, context: ssl.SSLContext | None) -> socket.socket:
    """Connect to the first of these addresses that answers. No name is looked up here."""
    connection = _first_open(target, found[:MOST_TRIED], ends)
    if target.scheme == "http":
        return connection
    try:
        connection.settimeout(_left(ends))
        secured = context or ssl.create_default_context()
        return secured.wrap_socket(connection, server_hostname=target.host)
    except BaseException:
        connection.close()
        raise


def _first_open(target: Target, found: Any, ends: float) -> socket.socket:
    for number, address in enumerate(found, 1):
        family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            # Each address gets its share of the time that is left.
            connection.settimeout(_left(ends) / (len(found) - number + 1))
            connection.connect((address, target.port))
        except OSError:
            connection.close()
            if number == len(found):
                raise
        else:
            return connection
    raise OSError("there is no address")


def _request(method: str, target: Target, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    length = {} if body is None else {"Content-Length": str(len(body))}
    lines = {"Host": target.authority, "User-Agent": USER_AGENT, **length, "Connection": "close", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + (body or b"")


def _receive(connection: socket.socket, ends: float, most: int | None) -> Received:
    answer = HTTPResponse(_Answer(connection, ends, MOST_READ + (most or 0)))  # type: ignore[arg-type]
    try:
        answer.begin()
        body = b"" if most is None else answer.read(most + 1)
        if len(body) > (most or 0):
            raise ValueError("its answer is too long")
        return Received(answer.status, body)
    finally:
        answer.close()


class _Answer(io.RawIOBase):
    """What the other side sends: no more than ``most`` bytes of it, and not for longer than until ``ends``."""

    def __init__(self, connection: socket.socket, ends: float, most: int) -> None:
        self._connection, self._ends, self._most = connection, ends, most

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a file to read from, as ``HTTPResponse`` asks of a socket."""
        return io.BufferedReader(self, MOST_READ)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._most <= 0:
            raise ValueError("its answer is too long")
        self._connection.settimeout(_left(self._ends))
        read = self._connection.recv_into(buffer, min(len(buffer), self._most))
        self._most -= read
        return read


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _told(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")
