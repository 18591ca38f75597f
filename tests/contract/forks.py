"""Programs of the fleet that are forked, most of them to be killed in the middle. See ``tests.forks``."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from tenantapp.cli import COLLECT_AFTER
from tests.compiled import share_compiled_statements
from tests.forks import ForkServer, fork_on_request
from tests.known_structures import share_known_structures

PROGRAMS: Final = ForkServer(__name__)
MODULES: Final = (
    "tests.contract.copies",
    "tests.contract.hanging",
    "tests.contract.hanging_worker",
    "tests.contract.hanging_job",
    "tests.contract.hanging_shipping",
    "tests.contract.hanging_delivery",
    "tests.contract.hanging_migration",
    "tests.contract.exporting",
    "tests.contract.alembic_command",
    "tests.contract.backing_up",
    "tests.contract.bundling",
    "tests.contract.upgrading",
    "tests.contract.work",
)
LOADED: Final = ("tenantapp.fleet.application", "tests.seeding")  # by a domain with hooks


class Hanging:
    """A program that has come to the point where it hangs. Its temporary files are where ours are, by default."""

    def __init__(self, module: str, *arguments: str, temporary: Path | None = None, **environment: str) -> None:
        where = str(temporary or tempfile.gettempdir())
        self._program = PROGRAMS.fork(module=module, arguments=arguments, temporary=where, environment=environment)
        assert PROGRAMS.line() == "here\n"

    def kill(self) -> None:
        """End it as nothing can be guarded against (SIGKILL), and wait until it is gone."""
        self._program.kill()
        self._program.wait()


class Program:
    """A program whose output goes to files, in a process group of its own."""

    def __init__(self, module: str, *arguments: str, **environment: str) -> None:
        self._output = Path(tempfile.mkdtemp())
        self._program = PROGRAMS.fork(
            module=module,
            arguments=arguments,
            temporary=tempfile.gettempdir(),
            output=str(self._output),
            environment=environment,
        )
        self.pid = self._program.pid

    def first_line(self, timeout: float = 60) -> str:
        """Wait for a line on standard error, and return it."""
        deadline = time.monotonic() + timeout
        while True:
            line, ended, _ = self._read("stderr").partition("\n")
            if ended:
                return line
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def kill(self) -> None:
        """Kill the program (SIGKILL), and nothing that it has started."""
        self._program.kill()

    def kill_group(self) -> None:
        """Kill it and all it has started, as a machine does that loses its power."""
        os.killpg(self.pid, signal.SIGKILL)
        self.end()

    def end(self, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        """Wait until it and all it has started have ended; a program that was killed has the status -9."""
        deadline = time.monotonic() + timeout
        try:
            status = self._program.wait(timeout)
            while _is_there(self.pid):
                if time.monotonic() > deadline:
                    raise subprocess.TimeoutExpired(self._output.name, timeout)
                time.sleep(0.005)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(self._output.name, status, self._read("stdout"), self._read("stderr"))

    def _read(self, name: str) -> str:
        path = self._output / name
        return path.read_text() if path.exists() else ""


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Fork a program for each line. Nothing but this thread is in the process, and it is connected to nothing."""
    gc.disable()
    share_compiled_statements()
    share_known_structures()
    for module in (*MODULES, *LOADED):
        import_module(module)
    _warm_up()
    assert [each for each in threading.enumerate() if not each.name.startswith("hashing")] == [threading.main_thread()]
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)  # as a command has it
    gc.enable()
    fork_on_request(_run)


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


def _run(
    module: str,
    arguments: Sequence[str],
    temporary: str,
    output: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Call the ``main`` of a module, whose result is the status of the process.

    Temporary files go to ``temporary``. With ``output``, a directory, a program in a process group of its own has its
    standard output and error in files there.
    """
    tempfile.tempdir = temporary
    os.environ.update(environment or {})
    if output is not None:
        os.setsid()
    print(os.getpid(), flush=True)
    if output is not None:
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{output}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    status = 1
    try:
        status = import_module(module).main(*arguments)
    except BaseException:
        traceback.print_exc()
    if output is None:
        print("did not hang", flush=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)


if __name__ == "__main__":
    main()
