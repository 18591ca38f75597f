"""The wheel, in an empty environment far from the checkout: made, installed, and built on as our page says."""

import json
import os
import pty
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Final

import pytest
from sqlalchemy.engine import URL

from tenantapp.testing.postgres import ENVIRONMENT as POSTGRES_URL
from tests.contract.conftest import asking_engine, everything_on, remove_all_but
from tests.ports import free_port

CHECKOUT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ("pyproject.toml", "setup.cfg", "README.md", "tenantapp", "alembic")
INI: Final = """
[app:main]
use = egg:tenantapp
user_db.url = sqlite+pysqlite:///%(here)s/var/user.sqlite
servers.main = sqlite+pysqlite:///%(here)s/var/tenants/

[user]
script_location = tenantapp:migrations/user
"""

WALK: Final = (CHECKOUT / "docs" / "building.md").read_text().partition("\n## Where to go on")[0]
BLOCKS: Final = re.findall(r"^```(\w+)\n(.*?)^```", WALK, re.M | re.S)
PASSWORD: Final = b"correct horse battery\n"
# What pip would fetch comes from the environment of the tests, whose programs are lent to the new Python.
LEND: Final = """
echo "$DEPENDENCIES" > "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/dependencies.pth"
for program in pserve pytest; do
    sed "1s|.*|#!$VIRTUAL_ENV/bin/python|" "$PROGRAMS/$program" > "$VIRTUAL_ENV/bin/$program"
    chmod +x "$VIRTUAL_ENV/bin/$program"
done
"""
SERVE: Final = """
[ -z "${server-}" ] || { kill $server; wait $server || true; }
COMMAND & server=$!
trap 'kill $server; wait $server || true' EXIT
until curl --silent --fail http://localhost:6543/__heartbeat__; do kill -0 $server; sleep 0.1; done
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
def place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the environment that the page for builders makes first.

    The dependencies come last on the path, and as a plain directory, so that the editable installation beside them is
    not seen.
    """
    place = tmp_path_factory.mktemp("installed")
    (place / "bin").mkdir()
    (place / "bin" / "python3").symlink_to(os.path.realpath(sys.executable))
    bash(place, BLOCKS[0][1] + LEND, {"PIP_FIND_LINKS": str(wheel.parent)})
    (place / "development.ini").write_text(INI)
    return place


def bash(place: Path, script: str, variables: dict[str, str]) -> None:
    """Run a script, which asks for passwords on a terminal of its own."""
    given = {
        "PATH": f"{place}/bin:/usr/bin:/bin",
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "DEPENDENCIES": sysconfig.get_path("purelib"),
        "PROGRAMS": sysconfig.get_path("scripts"),
    }
    master, terminal = pty.openpty()
    Thread(target=type_passwords, args=(master,), daemon=True).start()
    with (place / "printed").open("w") as printed:
        command = ["setsid", "--ctty", "--wait", "bash", "-euo", "pipefail", "-c", script]
        streams = {"stdin": terminal, "stdout": printed, "stderr": subprocess.STDOUT}
        done = subprocess.run(command, cwd=place, env=environment() | given | variables, check=False, **streams)
        os.close(terminal)
    assert done.returncode == 0, "".join(path.read_text() for path in sorted(place.glob("printed*")))


def type_passwords(terminal: int) -> None:
    """Type a password whenever one is asked for, until the other side closes the terminal."""
    try:
        while asked := os.read(terminal, 1024):
            if asked.rstrip().endswith(b":"):
                os.write(terminal, PASSWORD)
    except OSError:
        os.close(terminal)


@pytest.fixture(scope="module")
def run(place: Path) -> Run:
    """Runs a program of the new environment in a directory with an ini file, and returns what it printed."""
    scripts = place / ".venv" / "bin"

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


def test_what_the_wheel_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = [
        path for path in (CHECKOUT / "tenantapp").rglob("*") if path.suffix in (".py", ".css", ".js", ".tmpl", ".txt")
    ]
    # The page, if it is built: only a wheel that `make build` makes is sure to have it.
    ours += [path for path in (CHECKOUT / "tenantapp" / "web" / "dist").rglob("*") if path.is_file()]
    expected = {f"tenantapp/{path.relative_to(CHECKOUT / 'tenantapp')}" for path in ours}
    assert "tenantapp/api/openapi/docs.css" in expected
    for path in (CHECKOUT / "alembic").rglob("*"):
        if path.suffix in (".py", ".mako"):
            expected.add(f"tenantapp/migrations/{path.relative_to(CHECKOUT / 'alembic')}")
    assert {"tenantapp/migrations/user/env.py", "tenantapp/migrations/tenant/script.py.mako"} <= expected
    assert {name for name in names if ".dist-info/" not in name} == expected | {"tenantapp/py.typed"}


def test_the_wheel_has_both_histories_of_the_bundled_domain(run: Run) -> None:
    where = run("python", "-c", "import tenantapp; print(tenantapp.__file__)").strip()
    assert str(CHECKOUT) not in where
    run("tenantapp", "init")
    run("tenantapp", "tenants", "create", "acme")
    assert json.loads(run("tenantapp", "tenants", "show", "acme", "--json"))["state"] == "active"
    assert "(head)" in run("python", "-m", "alembic.config", "-c", "development.ini", "-n", "user", "current")


def test_the_page_for_builders_leads_to_a_product_that_is_deployed(place: Path, postgres_server: URL) -> None:
    """Its commands are run in their order and its files are written, with another port and another server."""
    before, role, port = everything_on(postgres_server), f"inventory_{secrets.token_hex(4)}", str(free_port())
    given = {POSTGRES_URL: postgres_server.render_as_string(hide_password=False), "CI": "true"}
    try:
        with asking_engine(postgres_server).connect() as connection:
            (statement,) = [block for language, block in BLOCKS if language == "sql"]
            connection.exec_driver_sql(statement.replace(" inventory ", f" {role} "))
            # The server of the tests is closed to roles that nobody lets in.
            connection.exec_driver_sql(f"GRANT CONNECT ON DATABASE postgres TO {role}")
        bash(place, on(postgres_server, role, script(place)).replace("6543", port), given)
    finally:
        remove_all_but(before, postgres_server)
    printed = {number: (place / f"printed-{number}").read_text() for number, _ in commands()}
    shown = {number - 1: block for number, (language, block) in enumerate(BLOCKS) if language == "json"}
    assert len(shown) == 2
    assert {number: printed[number].strip() for number in shown} == {n: block.strip() for n, block in shown.items()}
    assert any(re.search(r"\d+ passed", text) for text in printed.values())  # on both engines, as there is a server


def commands() -> list[tuple[int, str]]:
    """The blocks of commands that end, with their numbers; the first block has made the environment."""
    found = [(number, block) for number, (language, block) in enumerate(BLOCKS) if language == "sh"]
    return [(number, block) for number, block in found[1:] if not block.startswith("pserve")]


def script(place: Path) -> str:
    """The page as a script. What each block prints goes to a file."""
    parts, ends = [". .venv/bin/activate"], dict(commands())
    for number, (language, block) in enumerate(BLOCKS[1:], 1):
        if number in ends:
            parts.append(f"{{\n{block}}} > {place}/printed-{number}")
        elif language == "sh":
            parts.append(SERVE.replace("COMMAND", block.strip()))
        elif language == "python":
            path = block.partition("\n")[0].removeprefix("# ")
            parts.append(f"cat > {path} << 'END OF FILE'\n{block}END OF FILE")
    parts.insert(2, "sed -i 's/^http_port = .*/http_port = 6543/' *.ini")
    return "\n".join(parts)


def on(server: URL, role: str, text: str) -> str:
    """The text with this server and role in place of those of the page."""
    url = "postgresql+psycopg2://inventory:secret@db.example/"
    assert text.count(url) == 2
    ours = server.set(username=role, password="secret", database="").render_as_string(hide_password=False)
    users = server.set(username=role, password="secret", database=role).render_as_string(hide_password=False)
    return text.replace(f"{url}inventory", f"'{users}'").replace(url, f"'{ours}'")
