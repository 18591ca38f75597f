"""Real programs for the tests: those that are installed, or Debian's packages, unpacked into a cache."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.programs import ProgramMissing

CACHE = Path(__file__).parents[1] / ".pytest_cache" / "debian"
INSTALLED = (*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/usr/local/sbin")


def debian_program(package: str, name: str, more: str = "", *, program: str | None = None) -> Path:
    """The program of a package, by default the one that has its name.

    Raises ``ProgramMissing`` if it is not there and cannot be fetched. The message calls it ``name``, and says ``more``
    about the version that is needed.
    """
    program = program or package
    if found := shutil.which(program, path=os.pathsep.join(INSTALLED)):
        return Path(found)
    CACHE.mkdir(parents=True, exist_ok=True)
    unpacked = CACHE / package
    with (CACHE / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not unpacked.exists():
            try:
                _unpack(package, unpacked)
            except (OSError, subprocess.SubprocessError) as error:
                wanted = f"install the package {package}" + (f", {more}" if more else "")
                raise ProgramMissing(f"{name} is missing, and could not be had from apt-get: {wanted}") from error
    return next(place for place in (unpacked / "usr" / each / program for each in ("sbin", "bin")) if place.is_file())


def with_libraries(program: Path, directory: Path) -> Path:
    """A copy of the program in this directory if it is unpacked, with its libraries, for ``LD_LIBRARY_PATH``."""
    if not program.is_relative_to(CACHE):
        return program
    for library in program.parents[2].rglob("*.so*"):
        shutil.copy(library, directory / library.name)
    shutil.copy(program, directory / program.name)
    return directory / program.name


def _unpack(package: str, directory: Path) -> None:
    """Unpack the package and the libraries of it that are missing. Nothing is installed, and no service starts."""
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        try:
            _download(package, Path(scratch))
        except subprocess.CalledProcessError:
            # Lists of our own: those of the machine are old or not there, and only root may renew them.
            lists = Path(scratch) / "lists"
            (lists / "partial").mkdir(parents=True)
            own = ("-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={scratch}/cache")
            _run(scratch, "apt-get", *own, "update")
            _download(package, Path(scratch), own)
        for file in Path(scratch).glob("*.deb"):
            _run(scratch, "dpkg", "--extract", str(file), f"{scratch}/root")
        Path(scratch, "root").rename(directory)


def _download(package: str, directory: Path, options: Sequence[str] = ()) -> None:
    install = ("install", "--simulate", "--no-install-recommends", package)
    wanted = re.findall(r"^Inst (\S+)", _run(directory, "apt-get", *options, *install), re.MULTILINE)
    _run(directory, "apt-get", *options, "download", *wanted)


def _run(directory: str | Path, *command: str) -> str:
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        command, cwd=directory, env=environment, check=True, capture_output=True, text=True, timeout=300
    ).stdout
