"""The conversation in the README is what one gets."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


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
    for _ in range(200):
        assert server.poll() is None, "pserve ended"
        try:
            with urlopen(url):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("pserve does not answer")


def conversation() -> list[tuple[str, str]]:
    """The commands of the README, each with the output it shows."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    parts = re.split(r"^\$ ", "".join(blocks), flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def test_the_readmes_conversation(served: tuple[Path, int]) -> None:
    directory, port = served
    commands = [(command.replace("6543", str(port)), output) for command, output in conversation()]
    assert len(commands) > 12
    script = "shopt -s expand_aliases\n" + "".join(f"{command}\necho; echo =====\n" for command, _ in commands)
    done = subprocess.run(["bash"], input=script, cwd=directory, capture_output=True, text=True, check=False)
    outputs = done.stdout.split("=====\n")
    for (command, expected), found in zip(commands, outputs, strict=False):
        pattern = ".*".join(re.escape(part) for part in expected.strip().split("..."))
        assert re.fullmatch(pattern, found.strip(), re.DOTALL), f"$ {command}\n{found}\n{done.stderr}"
