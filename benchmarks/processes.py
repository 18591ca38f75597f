"""Servers as processes of their own, which end with us whatever happens."""

import ctypes
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

START_TIMEOUT: Final = 60.0  # seconds until a server has to accept connections
STOP_TIMEOUT: Final = 5.0
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class DidNotStart(Exception):
    """A server ended, or did not listen in time; the message is the end of what it printed."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections."""

    port: int
    pid: int
    started: float

    def elapsed(self) -> float:
        """Seconds since the process was started."""
        return time.perf_counter() - self.started


def free_port() -> int:
    """A port of the loopback interface that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str], port: int, *, log: Path, cwd: Path, environment: Mapping[str, str]
) -> Iterator[Running]:
    """Run a server that listens on this port; at the end it and its children are gone. Raises ``DidNotStart``."""
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=_inherited() | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    try:
        _wait_until_listening(process, port, log)
        yield Running(port, process.pid, started)
    finally:
        _end(process)


def resident_bytes(pid: int) -> int:
    """The memory a process has in RAM (``VmRSS`` of proc_pid_status(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def resident_bytes_of_self() -> int:
    """The memory this process has in RAM."""
    return resident_bytes(os.getpid())


def allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one, for us and the servers we start: a tenant has three."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _inherited() -> dict[str, str]:
    # What is set for somebody's own tenantapp is not for the one that is measured.
    return {name: value for name, value in os.environ.items() if not name.startswith("TENANTAPP_")}


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_listening(process: "subprocess.Popen[Any]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DidNotStart(f"exit status {process.returncode}: {_end_of(log)}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise DidNotStart(f"not listening after {START_TIMEOUT:.0f} s: {_end_of(log)}")


def _end(process: "subprocess.Popen[Any]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
            break
    # What is left of its children, if it ended before them.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-1500:].strip()
