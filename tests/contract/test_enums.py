"""A builder adds an enumeration to a model, or a value to it, and gets a revision for both engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Column, Enum, Integer, Table

from tenantapp.databases.errors import MigrationFailed, NothingToRevise
from tenantapp.databases.histories.enums import IMPORT
from tenantapp.databases.histories.environment import run_command
from tenantapp.databases.histories.targets import tenant_target
from tenantapp.databases.histories.upgrading import upgrade_tenant_database
from tenantapp.databases.schemas.autogenerate import make_empty_revision, make_revision
from tenantapp.tenancy.models import TenantBase
from tests.contract.conftest import Fleet
from tests.contract.rows import findings


@pytest.fixture
def declared() -> Iterator[None]:
    yield
    TenantBase.metadata.remove(TenantBase.metadata.tables["paints"])


def declare(*columns: "Column[object]") -> None:
    """The table of a model, as it is now."""
    if "paints" in TenantBase.metadata.tables:
        TenantBase.metadata.remove(TenantBase.metadata.tables["paints"])
    Table("paints", TenantBase.metadata, Column("id", Integer, primary_key=True), *columns)


def color(*values: str) -> "Column[object]":
    return Column("color", Enum(*values, name="Color"), nullable=False, server_default=values[0])


UPGRADE = """
    enums.set_enum_values("Color", ["dark red", "red", "green", "blue"])
    enums.create_enum("size", ["s", "m"])
    with op.batch_alter_table("paints", schema=None) as batch_op:
        batch_op.add_column(sa.Column("size", sa.Enum("s", "m", name="size"), nullable=True))
"""
DOWNGRADE = """
    with op.batch_alter_table("paints", schema=None) as batch_op:
        batch_op.drop_column("size")

    enums.drop_enum("size")
    enums.set_enum_values("Color", ["red", "blue"])
"""


@pytest.mark.usefixtures("declared")
def test_types_and_values_are_drafted_and_work(fleet: Fleet) -> None:
    """The draft is the same on both engines, so one that was made on SQLite works on PostgreSQL."""
    place = fleet.initialised().create("acme")
    services = fleet.under(fleet.settings_with("tenant", fleet.copy_of("tenant")))
    url, target = fleet.servers["main"].tenant_url(place.database), tenant_target(services, place, record=True)
    declare(color("red", "blue"))
    make_revision(services, "tenant", "Paints")
    upgrade_tenant_database(services, place)
    fleet.ask("INSERT INTO paints (id) VALUES (1)", url)
    declare(color("dark red", "red", "green", "blue"), Column("size", Enum("s", "m", name="size")))
    drafted = make_revision(services, "tenant", "More").read_text()
    assert UPGRADE in drafted
    assert DOWNGRADE in drafted
    upgrade_tenant_database(services, place)
    fleet.ask("INSERT INTO paints (id, color, size) VALUES (2, 'green', 'm')", url)
    with pytest.raises(NothingToRevise):
        make_revision(services, "tenant", "Again")
    assert findings(fleet, place, services.settings) == ()
    if fleet.admin is not None:
        with pytest.raises(MigrationFailed, match="rolled back: invalid input value for enum"):
            run_command(target, lambda config: command.downgrade(config, "-1"))
    fleet.ask("DELETE FROM paints WHERE id = 2", url)
    run_command(target, lambda config: command.downgrade(config, "-1"))
    assert findings(fleet, place, services.settings) == ()
    fleet.ask("INSERT INTO paints (id) VALUES (2)", url)
    assert fleet.ask("SELECT color FROM paints ORDER BY id", url) == [("red",), ("red",)]


def test_a_type_that_is_there_serves_another_table(fleet: Fleet) -> None:
    """Alembic makes it again, unless the same run has made it: so a template works, and a tenant does not."""
    place = fleet.initialised().create("acme")
    services = fleet.under(fleet.settings_with("tenant", fleet.copy_of("tenant")))
    url = fleet.servers["main"].tenant_url(place.database)
    path = make_empty_revision(services.settings, "tenant", "one")
    column = 'sa.Column("s", sa.Enum("a", "b", name="st"))'
    path.write_text(with_upgrade(path, f'op.create_table("one", {column})'))
    upgrade_tenant_database(services, place)
    path = make_empty_revision(services.settings, "tenant", "two")
    more = f'op.create_table("two", {column})'
    if fleet.admin is not None:
        more += '; op.add_column("two", sa.Column("n", sa.ARRAY(sa.Enum("x", name="nn"))))'
    path.write_text(with_upgrade(path, f'{more}; enums.set_enum_values("nn", ["z"])'))
    upgrade_tenant_database(services, place)
    fleet.ask("INSERT INTO two (s) VALUES ('b')", url)
    if fleet.admin is not None:
        fleet.ask("UPDATE two SET n = '{z}'", url)


def with_upgrade(path: Path, body: str) -> str:
    """The text of an empty revision that does this."""
    before, _, after = path.read_text().partition("    pass\n")
    before = before.replace("from alembic import op\n", f"from alembic import op\n{IMPORT}\n")
    return f"{before}    {body}\n{after}"
