"""``tenantapp revision --empty`` writes a migration of data. What its comment says works, on both engines."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tenantapp.databases.errors import HistoryError, RevisionRefused
from tenantapp.databases.histories.histories import History
from tenantapp.databases.histories.targets import Target
from tenantapp.databases.histories.upgrading import upgrade
from tenantapp.databases.schemas.autogenerate import make_empty_revision
from tenantapp.databases.servers.scratch import scratch_database
from tenantapp.sql.ids import uuid7
from tests.contract.conftest import Fleet

# Tables with an id and a name.
TABLES: dict[History, str] = {"user": "groups", "tenant": "tags"}


def take_the_examples(path: Path, table: str) -> None:
    """Do what the comment says, on this table."""
    path.write_text(re.sub(r"^    #     (.*)$", r"    \1", path.read_text(), flags=re.M).replace("things", table))


@pytest.mark.parametrize("history", TABLES)
def test_the_comment_moves_data(fleet: Fleet, history: History) -> None:
    things = sa.table(TABLES[history], sa.column("id", sa.Uuid()), sa.column("name", sa.String()))
    before = fleet.made()
    settings = fleet.settings_with(history, fleet.copy_of(history))
    with scratch_database(fleet.services, history) as url:
        upgrade(Target(settings, history, "scratch", url))
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(things.insert(), [{"id": uuid7(), "name": name} for name in ("", " red ", "blue")])
        path = make_empty_revision(settings, history, "Names,\n trimmed")
        assert path.read_text().startswith('"""Names, trimmed\n')
        assert "# Move the data back" in path.read_text()
        take_the_examples(path, TABLES[history])
        assert upgrade(Target(settings, history, "scratch", url)) in path.name
        with engine.connect() as connection:
            assert set(connection.scalars(sa.select(things.c.name))) == {"Unnamed", "red", "blue"}
    assert fleet.made() == before


def test_it_is_refused_without_a_message_or_a_structure(fleet: Fleet) -> None:
    settings = fleet.settings_with("tenant", fleet.copy_of("tenant"))
    with pytest.raises(RevisionRefused, match="message"):
        make_empty_revision(settings, "tenant", " ")
    for path in (Path(str(settings.migrations_tenant)) / "versions").glob("*.py"):
        path.unlink()
    with pytest.raises(HistoryError, match="no newest revision"):
        make_empty_revision(settings, "tenant", "Names")
    assert not list((Path(str(settings.migrations_tenant)) / "versions").glob("*.py"))
