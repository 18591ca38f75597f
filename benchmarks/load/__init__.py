"""Load: the requests of a file over kept-alive connections, from a process of its own.

``wrk`` sends them where it is installed, and ``benchmarks.load.generator`` otherwise. Both read the same file: the
number of requests; each one's length in bytes, a line feed and the request; the number of steps; and for each step the
index of its request. The steps are taken one after the other by whichever connection is free, and over and over.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONNECTIONS: Final = 8
_HERE: Final = Path(__file__).parent


class LoadFailed(Exception):
    """The load generator itself ended badly."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was sent and what came back. ``failed``: answers of 400 and above; ``broken``: no answer."""

    requests: int
    seconds: float
    failed: int
    broken: int
    median_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Good answers per second."""
        return max(0, self.requests - self.failed) / self.seconds

    @property
    def errors(self) -> int:
        """Everything that was not a good answer."""
        return self.failed + self.broken


def http_request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """An HTTP/1.1 request, its connection kept alive as is the default."""
    fields = {"Host": "127.0.0.1", **headers}
    if body:
        fields["Content-Length"] = str(len(body))
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(head).encode() + body


def generator_name() -> str:
    """Which load generator there is."""
    return "wrk" if shutil.which("wrk") else "python"


def send(
    port: int,
    requests: Sequence[bytes],
    *,
    seconds: float,
    connections: int = CONNECTIONS,
    order: Sequence[int] | None = None,
) -> Load:
    """Send requests for so many seconds, in the order of these indices (default: one after the other).

    Raises ``LoadFailed``.
    """
    with tempfile.NamedTemporaryFile(prefix="tenantapp-bench-", suffix=".requests") as file:
        _write(Path(file.name), requests, range(len(requests)) if order is None else order)
        command = _wrk if generator_name() == "wrk" else _python
        return _run(command(port, file.name, seconds, connections), seconds)


def _write(path: Path, requests: Sequence[bytes], order: Sequence[int]) -> None:
    with path.open("wb") as file:
        file.write(f"{len(requests)}\n".encode())
        for request in requests:
            file.write(f"{len(request)}\n".encode() + request)
        file.write(f"\n{len(order)}\n".encode() + "\n".join(map(str, order)).encode() + b"\n")


def _wrk(port: int, file: str, seconds: float, connections: int) -> list[str]:
    # wrk takes whole seconds only.
    duration = f"{max(1, round(seconds))}s"
    script = str(_HERE / "requests.lua")
    url = f"http://127.0.0.1:{port}/"
    return ["wrk", "-t1", f"-c{connections}", f"-d{duration}", "--timeout", "10s", "-s", script, url, file]


def _python(port: int, file: str, seconds: float, connections: int) -> list[str]:
    return [sys.executable, str(_HERE / "generator.py"), str(port), file, str(seconds), str(connections)]


def _run(command: list[str], seconds: float) -> Load:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"{command[0]} did not end") from error
    if done.returncode:
        raise LoadFailed(done.stderr[-500:] or done.stdout[-500:])
    return Load(**json.loads(done.stdout.strip().splitlines()[-1]))
