"""What the pages show on a console is what it prints."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.ports import free_port

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """development.ini in a directory of its own, filled with the demo and served by a real pserve."""
    for name in ("development.ini",):
        shutil.copy(ROOT / name, tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TENANTAPP_")}
    for command in ("init", "demo"):
        subprocess.run([BIN / "tenantapp", command], cwd=tmp_path, env=environment, check=True, capture_output=True)
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [BIN / "pserve", "development.ini", f"http_port={port}"], cwd=tmp_path, env=environment, stderr=log
        )
        try:
            wait_for(f"http://localhost:{port}/__heartbeat__", server)
            yield tmp_path, port
        finally:
            server.terminate()
            server.wait(timeout=10)


def wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers."""
    for _ in range(600):
        assert server.poll() is None, "pserve ended"
        try:
            with urlopen(url):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("pserve does not answer")


def console(page: str) -> list[tuple[str, str]]:
    """The commands of a page's console blocks, each with the output that the page shows."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    parts = re.split(r"^\$ ", "".join(blocks), flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def without_padding(text: str) -> str:
    """The text without the blanks that make columns of a table."""
    return re.sub(r" +", " ", re.sub(r" +$", "", text.strip(), flags=re.MULTILINE))


def test_what_the_pages_show_is_what_one_gets(served: tuple[Path, int]) -> None:
    # The README first: it counts the nodes, and the other page adds one.
    for page in ("README.md", "docs/api.md"):
        check_console(page, *served)
    assert "setup plugin" not in (served[0] / "log").read_text(), "Alembic's, of which nobody has asked"


def check_console(page: str, directory: Path, port: int) -> None:
    """Run all commands of a page in one shell, and compare what each prints with what the page shows."""
    commands = [(command.replace("6543", str(port)), output) for command, output in console(page)]
    assert len(commands) > 12
    script = "shopt -s expand_aliases\n" + "".join(f"{command}\necho; echo =====\n" for command, _ in commands)
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash"], input=script, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    outputs = done.stdout.split("=====\n")
    assert len(outputs) == len(commands) + 1, done.stderr
    for (command, expected), found in zip(commands, outputs[:-1], strict=True):
        pattern = ".*".join(re.escape(part) for part in without_padding(expected).split("..."))
        assert re.fullmatch(pattern, without_padding(found), re.DOTALL), f"$ {command}\n{found}\n{done.stderr}"
