"""Structures that differ as PostgreSQL prints them are compared in their restored form."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tenantapp.databases.schemas.expected import KnownStructures
from tenantapp.databases.servers.scratch import scratch_database
from tenantapp.fleet.backups import restored_forms
from tenantapp.fleet.backups.postgres_tools import Tools
from tenantapp.fleet.backups.restored_forms import Side, side_at, structure_differences
from tenantapp.fleet.backups.restoring import look_at
from tests.contract.conftest import Fleet
from tests.postgres import postgres_bin

WRITTEN = """CREATE TABLE words (
    id int PRIMARY KEY, s varchar(20) CHECK (s IN ('ab', left('cde', 2))), n int CHECK (n BETWEEN 1 AND 10 AND n <> 3)
)"""
# As a dump has it, without redundant casts.
RESTORED = """CREATE TABLE words (
    id int PRIMARY KEY, n int CONSTRAINT words_n_check CHECK (n >= 1 AND n <= 10 AND n <> 3),
    s varchar(20) CONSTRAINT words_s_check
        CHECK (s::text = ANY (ARRAY['ab'::varchar::text, left('cde', 2)::varchar::text]))
)"""
OTHER_LIST = "CHECK (s IN ('ab', left('efg', 2)))"


@pytest.fixture(params=["postgresql"])
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Databases:
    """Scratch databases, each with the statements that it is made with."""

    def __init__(self, fleet: Fleet, until: ExitStack) -> None:
        self.fleet, self.until = fleet, until
        settings = replace(fleet.settings, backups_postgres_bin=postgres_bin("pginstall18"))
        self.services = fleet.under(settings)

    def made(self, *statements: str) -> Side:
        server = self.fleet.servers["main"]
        url: URL = self.until.enter_context(scratch_database(self.services, "tenant", server=server))
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        _, structure, version = look_at(url, "it")
        return side_at("it", server, version, structure, url)

    def differences(self, expected: Side, found: Side) -> list[str]:
        return structure_differences(self.services, expected, found)


@pytest.fixture
def databases(fleet: Fleet) -> Iterator[Databases]:
    with ExitStack() as until:
        yield Databases(fleet, until)


@pytest.fixture
def dumped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The databases that are dumped, while nothing is known yet."""
    names: list[str] = []
    real = restored_forms.copy_structure

    def noting(tools: Tools, original: tuple[URL, str], *rest: Any) -> None:
        names.append(original[1])
        real(tools, original, *rest)

    monkeypatch.setattr(restored_forms, "copy_structure", noting)
    monkeypatch.setattr(restored_forms, "_known", KnownStructures())
    return names


def test_what_a_restore_writes_in_another_way_is_equal(databases: Databases, dumped: list[str]) -> None:
    written, restored = databases.made(WRITTEN), databases.made(RESTORED)
    assert written.structure != restored.structure
    assert databases.differences(written, restored) == []
    assert dumped == ["it", "a scratch database with the structure of it"], "once more, to see that nothing changes"
    assert databases.differences(restored, written) == []
    assert len(dumped) == 2, "both forms are known"
    changed = (WRITTEN, "ALTER TABLE words DROP CONSTRAINT words_s_check", f"ALTER TABLE words ADD {OTHER_LIST}")
    (line,) = databases.differences(restored, databases.made(*changed))
    assert line.startswith("table words: constraint words_s_check differs: it should be (CHECK (")
    should, found = line.split(" and is ")
    assert ("'cde'" in should, "'efg'" in should, "'cde'" in found, "'efg'" in found) == (True, False, False, True)
    assert found == should.partition("it should be ")[2].replace("cde", "efg"), "both in the same form"


def test_a_structure_that_was_changed_meanwhile_has_no_form(databases: Databases, dumped: list[str]) -> None:
    """What was read is not what is dumped now: a migration came between."""
    written, restored = databases.made(WRITTEN), databases.made(RESTORED)
    with written.database() as url, create_engine(url, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE words DROP CONSTRAINT words_n_check")
    reason, *lines = databases.differences(written, restored)
    assert "(Could not read it: its structure was changed meanwhile)" in reason
    assert len(lines) == 2


def test_without_tools_the_printed_definitions_count(databases: Databases, dumped: list[str]) -> None:
    databases.services = databases.fleet.under(
        replace(databases.fleet.settings, backups_postgres_bin=str(databases.fleet.directory))
    )
    written, restored, without = databases.made(WRITTEN), databases.made(RESTORED), databases.made("SELECT 1")
    assert databases.differences(written, databases.made(WRITTEN)) == []
    assert databases.differences(written, without) == ["table words is missing"]
    reason, *lines = databases.differences(written, restored)
    assert reason.startswith("definitions are compared only as the server printed them (there is no pg_dump in ")
    assert [line.partition(" differs: ")[0] for line in lines] == [
        "table words: constraint words_n_check",
        "table words: constraint words_s_check",
    ]
    assert dumped == []
