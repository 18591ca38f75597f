"""Send one request, over a connection to an address that was checked.

Neither redirects nor the environment's proxies are followed, and no more is read of an answer than its status needs.
"""

import io
import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from typing import Any, Final

from tenantapp.webhooks.addresses import Addresses, Target
from tenantapp.webhooks.errors import DeliveryFailed

MOST_READ: Final = 8192  # bytes of an answer, with its headers
MOST_TRIED: Final = 3  # addresses of a name
USER_AGENT: Final = "tenantapp-webhooks/1"


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

    All of it takes ``seconds`` at most, to the connection and to the answer. ``context`` is for tests that have
    certificates of their own. Raises ``TargetRefused`` and ``DeliveryFailed``.
    """
    ends = time.monotonic() + seconds
    target = addresses.read(url)
    found = addresses.of(target, seconds)
    try:
        with _connect(target, found, ends, context) as connection:
            connection.settimeout(_left(ends))
            connection.sendall(_request(target, body, headers))
            status = _status(connection, ends)
    except TimeoutError as error:
        raise DeliveryFailed(f"The receiver did not answer within {seconds:g} seconds.") from error
    except ssl.SSLCertVerificationError as error:
        raise DeliveryFailed(f"The certificate of {target.host} is refused: {error.verify_message}.") from error
    except (HTTPException, OSError, ValueError) as error:
        raise DeliveryFailed(f"The receiver cannot be reached, or does not speak HTTP: {_told(error)}.") from error
    if 300 <= status < 400:
        raise DeliveryFailed(f"The receiver answered {status}. Redirects are not followed.", status)
    if not 200 <= status < 300:
        raise DeliveryFailed(f"The receiver answered {status}.", status)
    return status


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


def _request(target: Target, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = {
        "Host": target.authority,
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Accept": "*/*",
        "Connection": "close",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


def _status(connection: socket.socket, ends: float) -> int:
    answer = HTTPResponse(_Answer(connection, ends))  # type: ignore[arg-type]
    try:
        answer.begin()
        return answer.status
    finally:
        answer.close()


class _Answer(io.RawIOBase):
    """What the receiver sends: no more than some bytes of it, and not for longer than until ``ends``."""

    def __init__(self, connection: socket.socket, ends: float) -> None:
        self._connection, self._ends, self._most = connection, ends, MOST_READ

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a file to read from, as ``HTTPResponse`` asks of a socket."""
        return io.BufferedReader(self, MOST_READ)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._most <= 0:
            raise ValueError("its headers are too long")
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
