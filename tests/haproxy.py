"""A real HAProxy, with a configuration of ``deploy/`` and the addresses of this machine."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.debian import debian_program, with_libraries

DEPLOY = Path(__file__).parents[1] / "deploy"


def start_haproxy(file: str, changes: Mapping[str, str], directory: Path) -> "subprocess.Popen[bytes]":
    """Start it in this directory, with these changes of the file. Raises ``ProgramMissing``."""
    program = with_libraries(debian_program("haproxy", "HAProxy"), directory)
    configuration = directory / "haproxy.cfg"
    configuration.write_text(changed(DEPLOY / file, changes))
    with (directory / "haproxy.log").open("wb") as log:
        environment = os.environ | {"LD_LIBRARY_PATH": str(directory)}
        command = [str(program), "-db", "-f", str(configuration)]
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def changed(file: Path, changes: Mapping[str, str]) -> str:
    """Return the text of a file with these changes, each of which must be possible."""
    text = file.read_text()
    for old, new in changes.items():
        assert old in text, f"{file} has no {old}"
        text = text.replace(old, new)
    return text
