"""The commands that a domain adds to ``tenantapp``."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tenantapp.cli.installation import Installation as CommandsInstallation
from tenantapp.databases.histories.histories import bundled
from tenantapp.files.rows import add_file, delete_file
from tenantapp.files.storage import open_storage
from tenantapp.sql.ids import uuid7
from tests.functional.conftest import INI, Command

COUNTING = """
import click
from sqlalchemy import func, select
from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.resources import create_row
from tenantapp.resources.errors import InvalidField

@click.command()
@click.argument("slug")
@click.option("--login")
@pass_installation
def count(installation: Installation, slug: str, login: str | None) -> None:
    \"\"\"Count what is on the shelves.\"\"\"
    from tenantapp.workspace.content import NodeContent
    from tenantapp.workspace.models import Node
    from tenantapp.workspace.nodes import nodes

    access = installation.access(slug, login=login)
    if login == "bob":
        raise InvalidField(None, "Bob cannot count.")
    with installation.tenant_session(access) as session:
        if login is not None:
            create_row(nodes, session, access, NodeContent(title="Counted"))
            installation.enqueue(session, access, "recount", {"shelf": 1})
        click.echo(f"{access.person.name}: {session.scalar(select(func.count()).select_from(Node))}")
        click.echo(installation.domain_settings["shed.color"])

@click.group()
def shelves() -> None:
    \"\"\"Shelves.\"\"\"

COMMANDS = [count, shelves]
"""
DOMAIN = """
def includeme(config):
    config.add_setting("shed.color", str, "red", "the color of the shed")
    config.add_job("recount", print)
    config.include("tenantapp.workspace")
"""


@pytest.fixture
def shed(ini: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes the commands of the domain, whose tables are those of the workspace."""

    def write(commands: str) -> None:
        package = ini.parent / "shed"
        package.mkdir()
        (package / "__init__.py").write_text(DOMAIN)
        (package / "models.py").write_text("import tenantapp.workspace.models\n")
        (package / "commands.py").write_text(commands)
        ini.write_text(f"{INI}tenantapp.domain = shed\nmigrations.tenant = {bundled('tenant')}\n")
        monkeypatch.syspath_prepend(str(ini.parent))

    return write


def test_a_command_of_the_domain_works_on_a_tenant(
    done: Command, failed: Callable[..., str], shed: Callable[[str], None]
) -> None:
    done("tenants", "create", "acme")
    for login in ("ann", "bob"):
        done("users", "add", login, "--password-stdin", given="correct horse battery\n")
        done("grants", "add", login, "acme", "--role", "author")
    shed(COUNTING)
    assert done("count", "acme", "--login", "ann").out == "ann: 1\nred\n"
    assert done("count", "acme").out.splitlines()[0].endswith(": 1")
    assert [job["name"] for job in done("jobs", "list", "acme", "--json").json["items"]] == ["recount"]
    assert failed("count", "nobody") == "There is no tenant nobody"
    assert failed("count", "acme", "--login", "bob") == "Bob cannot count"


def test_the_files_that_a_command_deletes_are_removed(done: Command, ini: Path) -> None:
    ini.write_text(f"{INI}files.storage = %(here)s/files/\n")
    done("tenants", "create", "acme")
    with closing(CommandsInstallation(ini)) as installation:
        access = installation.access("acme")
        storage, tenant_id, file_id = open_storage(installation.settings), access.require_tenant().id, uuid7()
        with installation.tenant_session(access) as session:
            add_file(session, access, file_id, "x", "text/plain", storage.write(tenant_id, file_id, [b"x"]))
        assert set(storage.sizes(tenant_id)) == {file_id}
        with installation.tenant_session(access) as session:
            delete_file(session, access, file_id)
        assert storage.sizes(tenant_id) == {}


def test_the_help_lists_the_commands_of_the_domain(ini: Path, run: Command, shed: Callable[[str], None]) -> None:
    shed(COUNTING)
    for arguments in (["--help"], ["--ini", str(ini), "--help"]):
        printed = run(*arguments)
        assert printed.status == 0
        assert "  count             Count what is on the shelves.\n" in printed.out
        assert "  worker " in printed.out
    assert "Shelves." in run("shelves", "--help").out


SLIPS = [
    ("import nonsense_of_shed\n", "shed.commands cannot be imported (ModuleNotFoundError: No module named"),
    ("count = 1\n", "shed.commands has no list COMMANDS of its commands"),
    ("COMMANDS = [print]\n", "COMMANDS in shed.commands has <built-in function print>, which is no command of click"),
    (
        "import click\nCOMMANDS = [click.Command('tenants')]\n",
        "shed.commands has a command tenants, and so has tenantapp: name it otherwise",
    ),
    (
        "import click\nCOMMANDS = [click.Command('a'), click.Command('a')]\n",
        "shed.commands has a command a, and so has shed.commands: name it otherwise",
    ),
    ("COMMANDS = []\n", "No such command 'count'"),
]


@pytest.mark.parametrize(("commands", "sentence"), SLIPS, ids=[sentence[:30] for _, sentence in SLIPS])
def test_a_slip_is_one_sentence_and_leaves_our_commands(
    run: Command, failed: Callable[..., str], shed: Callable[[str], None], commands: str, sentence: str
) -> None:
    shed(commands)
    assert failed("count").startswith(sentence)
    assert "  tenants " in run("--help").out


def test_the_doctor_names_a_slip(run: Command, shed: Callable[[str], None]) -> None:
    shed("count = 1\n")
    found = [each for each in run("doctor", "--json").json["items"] if each["check"] == "commands"]
    assert [each["detail"] for each in found] == ["shed.commands has no list COMMANDS of its commands"]
