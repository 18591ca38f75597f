"""The units of systemd in ``deploy/``: their programs are begun as systemd does it, as far as that goes without it."""

import shlex
import socket
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

DEPLOY: Final = Path(__file__).parents[1] / "deploy"
READY_TIMEOUT: Final = 60.0  # seconds; for a machine with much to do
PROGRAMS: Final = "/srv/tenantapp/.venv/bin"  # where the units have the environment
# Sets what the unit says of the process, and becomes its program. The socket, if there is one, is number 3.
BEGIN: Final = """
import ctypes, os, sys
umask, no_write_execute, no_new_privileges, descriptor = map(int, sys.argv[1:5])
os.umask(umask)
libc = ctypes.CDLL(None, use_errno=True)
if no_new_privileges:
    assert libc.prctl(38, 1, 0, 0, 0) == 0
if no_write_execute:
    libc.prctl(65, 1, 0, 0, 0)  # since Linux 6.3; before, only systemd's own filter does it
if descriptor >= 0:
    os.dup2(descriptor, 3)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[5], sys.argv[5:])
"""


class Unit:
    """A unit, by the name of its file. Settings may be there more than once."""

    def __init__(self, name: str) -> None:
        self.path = DEPLOY / name
        self.settings = defaultdict[str, list[str]](list)
        for line in self.path.read_text().splitlines():
            if line and not line.startswith(("#", "[")):
                setting, _, value = line.partition("=")
                self.settings[setting].append(value)

    def one(self, setting: str, default: str = "") -> str:
        """The value of a setting that is there once, or not at all."""
        (value,) = self.settings.get(setting, [default])
        return value

    def command(self, setting: str = "ExecStart") -> list[str]:
        """A command of the unit, with the programs of the environment that runs the tests."""
        return shlex.split(self.one(setting).replace(PROGRAMS, str(Path(sys.executable).parent)))

    def start(
        self, command: list[str], *, listening: socket.socket | None = None, env: dict[str, str], **options: Any
    ) -> "subprocess.Popen[bytes]":
        """Start a command of the unit as the unit says, with its socket if there is one, and wait until it is ready.

        ``options`` are those of ``subprocess.Popen``. Raises ``TimeoutError`` if it does not say so.
        """
        flags = [int(self.one(setting, "no") == "yes") for setting in ("MemoryDenyWriteExecute", "NoNewPrivileges")]
        descriptors = [] if listening is None else [listening.fileno()]
        values = map(str, (int(self.one("UMask", "0022"), 8), *flags, *(descriptors or [-1])))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind("")  # an address of Linux's choice
            told.settimeout(READY_TIMEOUT)
            notify = {"NOTIFY_SOCKET": "@" + told.getsockname()[1:].decode()}
            begun = [sys.executable, "-c", BEGIN, *values, *command]
            process = subprocess.Popen(begun, env=env | notify, pass_fds=descriptors, **options)
            while self.one("Type") == "notify" and b"READY=1" not in told.recv(4096).splitlines():
                pass
        return process
