"""The wheel, in an empty environment far from the checkout: made, installed, started."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.ports import free_port

CHECKOUT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ("pyproject.toml", "setup.cfg", "README.md", "tenantapp", "alembic")
START_TIMEOUT: Final = 30.0  # seconds
INI: Final = """
[DEFAULT]
http_port = 6543

[app:main]
use = egg:tenantapp
user_db.url = sqlite+pysqlite:///%(here)s/var/user.sqlite
servers.main = sqlite+pysqlite:///%(here)s/var/tenants/

[server:main]
use = egg:waitress
host = 127.0.0.1
get port = http_port

[user]
script_location = tenantapp:migrations/user
"""

# A command, with the package on the way to modules.
IN_PACKAGE: Final = """
import sys
sys.path.insert(0, "inventory")
from tenantapp.cli import run
sys.exit(run())
"""

Run = Callable[..., str]


def environment() -> dict[str, str]:
    """Ours, less what would change the settings or the way to modules."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TENANTAPP_", "PYTHON"))}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build leaves files behind in its source, which the next one would pack again."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (CHECKOUT / name).exists():
            shutil.copy(CHECKOUT / name, source)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (path,) = (source / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a program of the new environment in a directory with an ini file, and returns what it printed.

    The dependencies are those of the environment that the tests run in. They come last on the path, and as a plain
    directory, so that the editable installation in there is not seen.
    """
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "venv", with_pip=False)
    scripts = place / "venv" / "bin"
    (site_packages,) = (place / "venv").glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ["-m", "pip", "--quiet", "--python", str(scripts / "python"), "install", "--no-deps", "--no-index"]
    subprocess.run([sys.executable, *install, str(wheel)], check=True, capture_output=True)
    (place / "development.ini").write_text(INI)

    def run(program: str, *arguments: str, given: str = "") -> str:
        done = subprocess.run(
            [scripts / program, *arguments],
            cwd=place,
            env=environment(),
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    return run


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Run ``pserve`` of the environment in ``directory``; gives the base URL."""
    port = free_port()
    # pserve itself is installed among the dependencies; as a module it is run by the new environment's Python.
    serve = [directory / "venv" / "bin" / "python", "-m", "pyramid.scripts.pserve"]
    server = subprocess.Popen([*serve, "development.ini", f"http_port={port}"], cwd=directory, env=environment())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(START_TIMEOUT)


def get_json(url: str) -> Any:
    """The JSON at this URL, once the server is there."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            with urlopen(url) as response:
                return json.load(response)
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_what_the_wheel_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = [path for path in (CHECKOUT / "tenantapp").rglob("*") if path.suffix in (".py", ".css", ".js", ".tmpl")]
    # The page, if it is built: only a wheel that `make build` makes is sure to have it.
    ours += [path for path in (CHECKOUT / "tenantapp" / "web" / "dist").rglob("*") if path.is_file()]
    expected = {f"tenantapp/{path.relative_to(CHECKOUT / 'tenantapp')}" for path in ours}
    assert "tenantapp/api/openapi/docs.css" in expected
    for path in (CHECKOUT / "alembic").rglob("*"):
        if path.suffix in (".py", ".mako"):
            expected.add(f"tenantapp/migrations/{path.relative_to(CHECKOUT / 'alembic')}")
    assert {"tenantapp/migrations/user/env.py", "tenantapp/migrations/tenant/script.py.mako"} <= expected
    assert {name for name in names if ".dist-info/" not in name} == expected | {"tenantapp/py.typed"}


def test_the_wheel_works(run: Run) -> None:
    where = run("python", "-c", "import tenantapp; print(tenantapp.__file__)").strip()
    assert str(CHECKOUT) not in where
    directory = Path(where).parents[5]
    run("tenantapp", "init")
    run("tenantapp", "tenants", "create", "acme")
    run("tenantapp", "users", "add", "ada", "--password-stdin", given="correct horse battery\n")
    run("tenantapp", "grants", "add", "ada", "acme", "--role", "admin")
    assert json.loads(run("tenantapp", "tenants", "show", "acme", "--json"))["state"] == "active"
    assert "(head)" in run("python", "-m", "alembic.config", "-c", "development.ini", "-n", "user", "current")
    with serving(directory) as url:
        assert get_json(f"{url}/__heartbeat__")["status"] == "ok"
        assert get_json(f"{url}/__version__")["name"] == "tenantapp"


def test_a_new_package_needs_no_checkout(run: Run) -> None:
    assert "make -C inventory run" in run("tenantapp", "new", "inventory")
    # `make run` installs the package, and then does this.
    for command in ("init", "demo"):
        printed = run("python", "-c", IN_PACKAGE, "--ini", "inventory/development.ini", command)
    assert "The demo is ready" in printed
