"""Programs that are killed in the middle, each forked from a process that has imported everything once.

Importing takes longer than most of what they do. Run as a program, it reads a line of JSON for each: where its
temporary files go, a module, and the arguments of its ``main``.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
MODULES: Final = ("tests.contract.copies", "tests.contract.hanging", "tests.contract.hanging_worker")


class Hanging:
    """A program that has come to the point where it hangs."""

    def __init__(self, module: str, *arguments: str) -> None:
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps([tempfile.gettempdir(), module, *arguments]) + "\n")
        server.stdin.flush()
        self._pid = int(server.stdout.readline())
        assert server.stdout.readline() == "here\n"

    def kill(self) -> None:
        """End it as nothing can be guarded against (SIGKILL), and wait until it is gone."""
        os.kill(self._pid, signal.SIGKILL)
        while Path(f"/proc/{self._pid}").exists():
            time.sleep(0.001)


@cache
def _server() -> "subprocess.Popen[str]":
    """It ends when its standard input does, and so with us."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", __name__]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def main() -> None:
    """Fork a program for each line. Nothing but this thread is in the process, and it is connected to nothing."""
    for module in MODULES:
        import_module(module)
    _warm_up()
    assert threading.active_count() == 1
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks what became of them
    for line in sys.stdin:
        if os.fork() == 0:
            _run(*json.loads(line))


def _warm_up() -> None:
    """Do once what is done for the first time at some length: configured mappers, imported drivers and migrations."""
    from tenantapp.databases.histories.upgrading import upgrade_user_database
    from tests.contract import copies

    with tempfile.TemporaryDirectory(prefix="tenantapp-forks-") as directory:
        values = {
            "user_db.url": f"sqlite+pysqlite:///{directory}/user.sqlite",
            "servers.main": f"sqlite+pysqlite:///{directory}/main/",
            "servers.other": f"sqlite+pysqlite:///{directory}/other/",
        }
        fleet = copies.Fleet(values, None, Path(directory))
        upgrade_user_database(fleet.settings)  # nothing golden, which would stay in the directory of some test
        copies.create_on(fleet, "main", "acme")
        copies.work(fleet, "move", "acme", "other")
        fleet.close()


def _run(temporary: str, module: str, *arguments: str) -> None:
    tempfile.tempdir = temporary
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    print(os.getpid(), flush=True)
    try:
        import_module(module).main(*arguments)
    except BaseException:
        traceback.print_exc()
    print("did not hang", flush=True)
    os._exit(1)


if __name__ == "__main__":
    main()
