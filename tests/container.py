"""The steps of ``deploy/Containerfile`` in a clean directory, without an image: ``python -m tests.container``.

It needs PyPI and the npm registry, and takes minutes. What only an image has is not seen: its base, user and volume.
"""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from tests.ports import free_port

CHECKOUT: Final = Path(__file__).parents[1]
PLACES: Final = ("/build", "/srv/tenantapp", "/var/lib/tenantapp")
OF_THE_IMAGE: Final = ("useradd",)  # who is made there
PATIENCE: Final = 60.0  # seconds until the server answers


class Steps:
    """The steps, with the places of the image below a directory."""

    def __init__(self, root: Path) -> None:
        self.root, self.directory = root, root
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("TENANTAPP_", "PYTHON"))
        }
        self.command: list[str] = []

    def take(self, line: str) -> None:
        """Do one step. Raises ``CalledProcessError`` if it fails, and ``KeyError`` for one that is not known."""
        word, _, words = self.below(line).partition(" ")
        {"RUN": self.run, "COPY": self.copy, "WORKDIR": self.workdir, "ENV": self.env, "CMD": self.cmd}[word](words)

    def below(self, text: str) -> str:
        """Return a text with the places below the directory."""
        return re.sub(rf"(?<![\w.-])({'|'.join(PLACES)})\b", lambda found: f"{self.root}{found[0]}", text)

    def run(self, words: str) -> None:
        if not words.startswith(OF_THE_IMAGE):
            print(f"+ {words}", flush=True)
            subprocess.run(["sh", "-euc", words], cwd=self.directory, env=self.environment, check=True)

    def copy(self, words: str) -> None:
        if words == ". .":
            archive = subprocess.run(["git", "archive", "HEAD"], cwd=CHECKOUT, capture_output=True, check=True).stdout
            with tarfile.open(fileobj=io.BytesIO(archive)) as content:
                content.extractall(self.directory, filter="data")
        elif not words.startswith("--from="):  # there is one directory for both stages
            name, place = words.split()
            shutil.copy(CHECKOUT / name, place)

    def workdir(self, words: str) -> None:
        self.directory = Path(words)
        self.directory.mkdir(parents=True, exist_ok=True)

    def env(self, words: str) -> None:
        name, _, value = words.partition("=")
        self.environment[name] = value.replace("$PATH", self.environment["PATH"])

    def cmd(self, words: str) -> None:
        self.command = json.loads(words)


def steps_of(text: str) -> list[str]:
    """Return the steps of a Containerfile that do something outside an image."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [line for line in lines if line.split()[0] not in ("FROM", "USER", "EXPOSE", "STOPSIGNAL")]


def main() -> int:
    """Take the steps, start the server on SQLite, and ask it for the page."""
    with tempfile.TemporaryDirectory(prefix="tenantapp-container-") as directory:
        steps = Steps(Path(directory))
        for line in steps_of((CHECKOUT / "deploy" / "Containerfile").read_text()):
            steps.take(line)
        port, data = free_port(), f"{directory}/var/lib/tenantapp"
        steps.environment |= {
            "TENANTAPP_USER_DB_URL": f"sqlite+pysqlite:///{data}/user.sqlite",
            "TENANTAPP_SERVERS_MAIN": f"sqlite+pysqlite:///{data}/tenants/",
            "TENANTAPP_SERVER_WORKERS": "1",
        }
        steps.run("tenantapp --ini production.ini init")
        server = subprocess.Popen(
            [*steps.command, f"http_port={port}"], cwd=steps.directory, env=steps.environment, stdout=subprocess.DEVNULL
        )
        try:
            page = asked(f"http://127.0.0.1:{port}/")
        finally:
            server.send_signal(signal.SIGTERM)
        status = server.wait(PATIENCE)
    print(f"The server answered with {len(page)} bytes, and ended with exit status {status}.")
    return 0 if b"<html" in page and status == 0 else 1


def asked(address: str) -> bytes:
    """Return what an address answers, as soon as it does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(address, timeout=PATIENCE) as answer:
                return bytes(answer.read())
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
