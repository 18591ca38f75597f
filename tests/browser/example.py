"""An example of a domain to visit, in a process of its own: its models must not be among those of the tests.

    python -m tests.browser.example NAME ROLE DIRECTORY

makes the tenant north there, where Ann has this role, serves it, prints the port, and ends when its input does. One
process makes it and serves it, because to import the program takes as long as all the rest.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tenantapp.testing.installation import Installation, on_sqlite
from tests.browser.site import Site
from tests.built_page import DIST, ROOT
from tests.transactions.server import serving


@contextmanager
def served_example(name: str, role: str, directory: Path) -> Iterator[Site]:
    """Serve an example during the block."""
    run = [sys.executable, "-m", "tests.browser.example", name, role, str(directory)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "examples" / name)}
    with (
        (directory / "log").open("w") as log,
        subprocess.Popen(
            run, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        assert server.stdout is not None
        port = server.stdout.readline()
        assert port, (directory / "log").read_text()
        yield Site(directory, int(port), {})


def main(name: str, role: str, directory: Path) -> None:
    """Make the example in a directory, and serve it until the input ends."""
    settings = {
        "tenantapp.domain": name,
        "migrations.tenant": f"{name}:migrations",
        "files.storage": str(directory / "files"),
        "web.directory": str(DIST),
    }
    with on_sqlite(lambda given: Installation(given, ["north"]), directory, settings) as installation:
        installation.person(role, login="ann")
        with serving(installation.app) as (_, port):
            print(port, flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
