"""The load generator for machines without ``wrk``: raw sockets kept alive, one thread, in a process of its own.

Run as a program with the port, the file of requests, the seconds and the number of connections; prints a
line of JSON. It imports nothing of the project, so that it starts at once.
"""

import json
import re
import selectors
import socket
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Final

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSE: Final = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_BLOCK: Final = 1 << 18
_DRAIN: Final = 10.0  # seconds to wait for the answers that are still to come


def read_requests(path: Path) -> list[bytes]:
    """The requests of a file, one for each step."""
    data = path.read_bytes()

    def number(at: int) -> tuple[int, int]:
        end = data.index(b"\n", at)
        return int(data[at:end]), end + 1

    count, at = number(0)
    requests = []
    for _ in range(count):
        length, at = number(at)
        requests.append(data[at : at + length])
        at += length
    steps = data[at:].split()
    return [requests[int(index)] for index in steps[1:]]


def length_of_answer(received: bytes) -> int | None:
    """How many bytes the answer at the beginning has, or None as long as that cannot be told."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head, start = received[: end + 2], end + 4
    if _CHUNKED.search(head):
        last = received.find(b"\r\n0\r\n\r\n", end)
        return None if last < 0 else last + 7
    if received[9:12] in (b"204", b"304"):
        return start
    found = _LENGTH.search(head)
    return start + int(found[1]) if found else None


class Connection:
    """One kept-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_DRAIN)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        """Send the next request."""
        self.received = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def read(self) -> bytes | None:
        """What has come; the whole answer if that is all of it. Raises ``ConnectionError``."""
        part = self.socket.recv(_BLOCK)
        if not part:
            raise ConnectionResetError("closed before the answer was complete")
        self.received += part
        length = length_of_answer(self.received)
        return self.received if length is not None and len(self.received) >= length else None


class Generator:
    """Keeps every connection busy until the time is over, and counts."""

    def __init__(self, port: int, requests: list[bytes], connections: int) -> None:
        self.port = port
        self.requests = cycle(requests)
        self.selector = selectors.DefaultSelector()
        self.latencies: list[float] = []
        self.failed = self.broken = 0
        for _ in range(connections):
            self._open()

    def run(self, seconds: float) -> float:
        """Send for so long, wait for the answers under way, and return the seconds it took."""
        started = time.perf_counter()
        until = started + seconds
        while self.selector.get_map() and time.perf_counter() < until + _DRAIN:
            for key, _ in self.selector.select(timeout=0.1):
                self._answered(key.data, time.perf_counter() < until)
        self.broken += len(self.selector.get_map())
        return time.perf_counter() - started

    def _open(self) -> None:
        connection = Connection(self.port)
        self.selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(next(self.requests))

    def _answered(self, connection: Connection, go_on: bool) -> None:
        try:
            answer = connection.read()
        except OSError:
            self.broken += 1
            self._close(connection, go_on)
            return
        if answer is None:
            return
        self.latencies.append(time.perf_counter() - connection.sent_at)
        self.failed += answer[9:10] >= b"4"
        if not go_on or _CLOSE.search(answer, 0, answer.find(b"\r\n\r\n") + 2):
            self._close(connection, go_on)
        else:
            connection.send(next(self.requests))

    def _close(self, connection: Connection, again: bool) -> None:
        self.selector.unregister(connection.socket)
        connection.socket.close()
        if again:
            self._open()


def main(port: int, path: Path, seconds: float, connections: int) -> None:
    """Run, and print the counts that ``benchmarks.load.Load`` has."""
    generator = Generator(port, read_requests(path), connections)
    took = generator.run(seconds)
    latencies = sorted(generator.latencies) or [0.0]
    result = {
        "requests": len(generator.latencies),
        "seconds": took,
        "failed": generator.failed,
        "broken": generator.broken,
        "median_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1e3,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
