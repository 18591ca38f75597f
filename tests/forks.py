"""Programs that are forked from a process that has imported everything once. Importing takes longer than most do.

The process is ``python -m MODULE``, whose ``main`` imports what its programs need, and calls ``fork_on_request``.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]


class ForkServer:
    """The process that forks programs. It starts with the first one, and ends with this process."""

    def __init__(self, module: str) -> None:
        self._module, self._asking = module, Lock()

    def fork(self, **request: Any) -> "Forked":
        """Fork a program; what it is to do is written as JSON."""
        return Forked(self, int(self._answer(request)))

    def status(self, process: int) -> int:
        """Wait until a program has ended. Returns its status; that of one that a signal has ended is negative."""
        return int(self._answer({"wait": process}))

    def line(self) -> str:
        """Wait for a line that a program writes to its standard output, if that is the server's."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _answer(self, request: dict[str, Any]) -> str:
        with self._asking:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return self.line()

    @cached_property
    def _process(self) -> "subprocess.Popen[str]":
        """It ends when its standard input does."""
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", self._module]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )


class Forked:
    """A program that was forked. What it has of ``subprocess.Popen`` does the same."""

    def __init__(self, server: ForkServer, process: int) -> None:
        self._server, self.pid = server, process
        self.returncode: int | None = None
        self._descriptor = os.pidfd_open(process)

    def poll(self) -> int | None:
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _status(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            ended = select.poll()
            ended.register(self._descriptor, select.POLLIN)
            if ended.poll(None if timeout is None else timeout * 1000):
                self.returncode = self._server.status(self.pid)
                os.close(self._descriptor)
        return self.returncode


def fork_on_request(run: Callable[..., object]) -> None:
    """Fork a program for each line of the standard input, which calls ``run`` with what the line says.

    ``run`` writes its process id to the standard output, before anything else. If it returns, the process ends.
    """
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
        elif os.fork() == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            # Where the tests themselves are run in the background, an interrupt is ignored, which is inherited.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            run(**request)
            return
