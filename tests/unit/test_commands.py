"""A command is imported when it is asked for, and only then."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from tenantapp.cli import COLLECT_AFTER, COMMANDS, program
from tenantapp.cli.commands.operations import STATES
from tenantapp.operations.models import OperationState

# What takes long to import. Help and completion of names need none of it.
SLOW = (
    *("sqlalchemy", "psycopg2", "sqlite3", "alembic", "pyramid", "zope", "pydantic", "fsspec", "argon2"),
    *("rich", "orjson", "plaster", "paste.deploy", "importlib.metadata", "asyncio", "email"),
)
LOADED = "import sys; print(*sorted(sys.modules))"
ALL_HELP = """
import click
from tenantapp.cli import program

def show(command, context):
    command.get_help(context)
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        found = command.get_command(context, name)
        show(found, click.Context(found, context, name))

show(program, click.Context(program))
"""
COMPLETION = """
import os
os.environ |= {{"_TENANTAPP_COMPLETE": "bash_complete", "COMP_WORDS": {words!r}, "COMP_CWORD": "{last}"}}
from tenantapp.cli import main
try:
    main([])
except SystemExit:
    pass
"""
A_COMMAND = """
from tenantapp.cli import main
main(["--ini", {ini!r}, *{arguments!r}])
"""


def loaded_by(program: str) -> set[str]:
    """The modules that a program of its own has loaded at its end."""
    return loaded_and_printed_by(program)[0]


def loaded_and_printed_by(program: str) -> tuple[set[str], list[str]]:
    """The modules that a program of its own has loaded at its end, and the lines that it printed."""
    run = subprocess.run([sys.executable, "-c", program + LOADED], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    *printed, loaded = run.stdout.splitlines()
    return set(loaded.split()), printed


def written_ini(directory: Path) -> Path:
    """A configuration on SQLite."""
    ini = directory / "tenantapp.ini"
    ini.write_text(
        "[app:main]\nuse = egg:tenantapp\n"
        "user_db.url = sqlite+pysqlite:///%(here)s/user.sqlite\nservers.main = sqlite+pysqlite:///%(here)s/tenants/\n"
    )
    return ini


def of_packages(modules: set[str], packages: tuple[str, ...]) -> set[str]:
    return {package for package in packages if any(f"{name}.".startswith(f"{package}.") for name in modules)}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_it_is_said_to_be(name: str) -> None:
    command = program.get_command(click.Context(program), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str()


def test_what_is_no_command_is_refused() -> None:
    assert program.get_command(click.Context(program), "nonsense") is None


def test_all_the_help_there_is_needs_nothing_that_takes_long_to_import() -> None:
    loaded = loaded_by(ALL_HELP)
    assert {place.partition(":")[0] for place in COMMANDS.values()} <= loaded
    assert of_packages(loaded, SLOW) == set()


def test_to_complete_a_command_needs_nothing_that_takes_long_to_import() -> None:
    assert of_packages(loaded_by(COMPLETION.format(words="tenantapp tenants cr", last=2)), SLOW) == set()


def test_to_complete_a_name_needs_no_sqlalchemy(tmp_path: Path) -> None:
    ini = written_ini(tmp_path)
    loaded_by(A_COMMAND.format(ini=str(ini), arguments=["init"]))
    words = f"tenantapp --ini {ini} grants add x y --role ed"
    loaded, printed = loaded_and_printed_by(COMPLETION.format(words=words, last=8))
    assert printed == ["plain,editor"]
    needed = {"sqlite3", "plaster", "paste.deploy", "importlib.metadata", "email"}
    assert of_packages(loaded, SLOW) <= needed


def test_a_command_makes_no_application(tmp_path: Path) -> None:
    ini = written_ini(tmp_path)
    loaded_by(A_COMMAND.format(ini=str(ini), arguments=["init"]))
    # The first tenant of a server has its template built, by the domain's migrations.
    loaded_by(A_COMMAND.format(ini=str(ini), arguments=["tenants", "create", "acme"]))
    listing = loaded_by(A_COMMAND.format(ini=str(ini), arguments=["tenants", "list"]))
    making = loaded_by(A_COMMAND.format(ini=str(ini), arguments=["tenants", "create", "globex"]))
    assert len(list((tmp_path / "tenants").glob("tenant_*.sqlite"))) == 2
    application = ("pyramid", "pyramid_tm", "zope", "webob", "transaction", "pkg_resources", "tenantapp.application")
    assert of_packages(listing | making, application) == set()
    assert of_packages(listing | making, ("pydantic", "fsspec", "argon2", "cryptography", "rich.progress")) == set()
    assert of_packages(making, ("rich", "orjson")) == set()
    assert of_packages(listing, ("alembic", "orjson", "tenantapp.databases", "tenantapp.fleet")) == set()
    assert of_packages(listing, ("sqlalchemy.dialects.postgresql",)) == set()
    assert of_packages(making, ("tenantapp.fleet.kinds", "tenantapp.fleet.backups", "tenantapp.fleet.copying")) == set()


def test_python_does_not_look_for_garbage_among_what_is_imported() -> None:
    program = """
import atexit, gc, sys
from tenantapp.cli import run
atexit.register(lambda: print(gc.get_threshold()[0], gc.get_freeze_count() > 10_000))
sys.argv = ["tenantapp", "--version"]
sys.exit(run())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[1:] == [f"{COLLECT_AFTER} True"]


def test_the_states_of_operations_to_choose_from_are_those_there_are() -> None:
    assert list(STATES) == list(OperationState)
