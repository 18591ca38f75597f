"""Extensions that only the role of a server may make: new databases have them, and nothing of theirs is lost."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.engine import URL

from tenantapp.fleet.bundles.exporting import export_bundle
from tenantapp.fleet.bundles.importing import import_tenant
from tenantapp.fleet.migrating.kind import request_migration
from tenantapp.operations.errors import FleetError
from tests.contract.conftest import asking_engine
from tests.contract.copies import work
from tests.contract.decoys import CAUGHT, GUARD
from tests.contract.forks import Hanging
from tests.contract.rows import findings
from tests.schemas.constructs import Construct
from tests.schemas.verbs import Schemas, schemas

# It has rows that others may add to, and calls a function by a name that a tenant may take.
LEGENDS: Final = """
CREATE TABLE legends (id int PRIMARY KEY, word text);
GRANT SELECT, INSERT ON legends TO PUBLIC;
INSERT INTO legends VALUES (1, lower('BUILT IN'::varchar));
SELECT pg_extension_config_dump('legends', 'WHERE id > 1');
CREATE SEQUENCE numbers;
GRANT ALL ON SEQUENCE numbers TO PUBLIC;
CREATE TABLE numbered (id int PRIMARY KEY DEFAULT nextval('numbers'));
SELECT pg_extension_config_dump('numbers', '');
CREATE FUNCTION legend() RETURNS text LANGUAGE sql AS 'SELECT ''x''';
"""
ANCHORED: Final = "CREATE FUNCTION @extschema@.anchor() RETURNS int LANGUAGE sql AS 'SELECT 1';"
EXTENSIONS: Final = {
    "legends": ("relocatable = true", LEGENDS),
    "anchored": ("relocatable = false", ANCHORED),
    "towering": ("schema = tower", "CREATE FUNCTION top() RETURNS int LANGUAGE sql AS 'SELECT 1';"),
    "leaning": ("requires = 'legends'\nrelocatable = true", ""),
}
USES_BOTH: Final = """
CREATE EXTENSION IF NOT EXISTS legends;
CREATE EXTENSION IF NOT EXISTS anchored;
CREATE TABLE words (id int DEFAULT anchor() PRIMARY KEY, word text DEFAULT legend());
CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION first_of(a pair) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ($1).a';
CREATE CAST (pair AS int) WITH FUNCTION first_of(pair);
"""
PLAIN: Final = "CREATE TABLE words (id int PRIMARY KEY, word text);"
USES_LEGENDS: Final = "CREATE EXTENSION IF NOT EXISTS legends; ALTER TABLE words ALTER word SET DEFAULT legend()"
DECOY: Final = """
CREATE FUNCTION public.lower(given varchar) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM public.guard(); RETURN given; END $$
"""
SECOND: Final = """
from alembic import op

revision = "feedc0de0002"
down_revision = "feedc0de0001"


def upgrade():
    op.get_bind().exec_driver_sql({statement!r})
"""
Make = Callable[..., AbstractContextManager[Schemas]]


@pytest.fixture(scope="module")
def server(logical_server: URL) -> Iterator[URL]:
    """A server that has the extensions of these tests."""
    share = Path(str(logical_server.query["host"]), "share")  # where its user may read
    (share / "extension").mkdir(parents=True)
    for name, (control, script) in EXTENSIONS.items():
        (share / "extension" / f"{name}.control").write_text(f"default_version = '1'\n{control}\n")
        (share / "extension" / f"{name}--1.sql").write_text(script)
    with asking_engine(logical_server).connect() as connection:
        for change in (f"SET extension_control_path TO '{share}:$system'", "RESET extension_control_path"):
            connection.exec_driver_sql(f"ALTER ROLE {logical_server.username} {change}")
            if change.startswith("SET"):
                yield logical_server
    shutil.rmtree(share)


@pytest.fixture
def make(server: URL, postgres_server: URL, tmp_path: Path) -> Make:
    """Makes the tenant acme on ``main``, beside which there is ``other``, whose setting names no extensions."""

    @contextmanager
    def make(schema: str, extensions: str = "", rows: str = "SELECT 1") -> Iterator[Schemas]:
        construct = Construct("extensions", schema, rows, extensions=extensions)
        with schemas({"main": server, "other": postgres_server}, tmp_path, construct) as tenant:
            yield tenant

    return make


def give(tenant: Schemas, extensions: str) -> None:
    """Let the setting of ``main`` name these extensions."""
    tenant.fleet.values["servers.main.extensions"] = extensions
    tenant.fleet.__post_init__()


def add_revision(tenant: Schemas, statement: str) -> None:
    history = Path(tenant.fleet.values["migrations.tenant"])
    (history / "versions" / "feedc0de0002_more.py").write_text(SECOND.format(statement=statement))


def extensions_of(tenant: Schemas, slug: str = "acme") -> dict[str, str]:
    """The extensions of a tenant's database, with their schemas."""
    place = tenant.place(slug)
    asked = "SELECT extname, extnamespace::regnamespace::text FROM pg_extension WHERE extname <> 'plpgsql'"
    return dict(tenant.fleet.ask(asked + " ORDER BY 1", tenant.fleet.servers[place.server].own_url(place.database)))


def test_every_new_database_has_them(make: Make) -> None:
    """They are a part of the structure if something uses them."""
    with make(USES_BOTH, "legends, anchored", "INSERT INTO words DEFAULT VALUES") as tenant:
        assert tenant.original["public.legends"] == [('(1,"built in")',)]
        assert tenant.by_clone() == tenant.by_backup() == tenant.by_bundle() == tenant.by_restore() == {}
        assert extensions_of(tenant, "imported") == {"anchored": "public", "legends": "public"}
        place = tenant.place("imported")
        tenant.fleet.ask("DROP EXTENSION anchored CASCADE", tenant.fleet.servers["main"].own_url(place.database))
        assert "extension anchored is missing" in findings(tenant.fleet, place, tenant.fleet.settings)


def test_a_server_that_does_not_make_them_is_refused_by_name(make: Make) -> None:
    refused = "The server other makes no extension anchored, legends, which {} has; install it on the server, and name"
    with make(USES_BOTH, "legends, anchored") as tenant:
        del tenant.fleet.values["servers.other.extensions"]
        tenant.fleet.__post_init__()
        tenant.succeeded(tenant.backup())
        file = tenant.fleet.directory / "acme.bundle"
        export_bundle(tenant.fleet.services, tenant.place(), file)
        before = tenant.fleet.everything()
        for what, request in {
            "the database of acme": partial(work, tenant.fleet, "clone", "acme", "cloned", server="other"),
            "the database of acme ": partial(work, tenant.fleet, "move", "acme", "other"),
            "the backup": lambda: tenant.succeeded(tenant.restore_as("acme", "restored", server="other")),
            "the bundle": partial(import_tenant, tenant.fleet.services, file, "imported", server="other"),
        }.items():
            with pytest.raises(FleetError, match=refused.format(what.strip())):
                request()
        assert (tenant.fleet.everything(), tenant.lost()) == (before, {})


@pytest.mark.parametrize("rows", ["INSERT INTO legends VALUES (2, 'mine')", "SELECT nextval('numbers')"])
def test_rows_that_nobody_could_restore_are_refused_by_name(make: Make, rows: str) -> None:
    with make(USES_BOTH, "legends, anchored", rows) as tenant:
        before = tenant.fleet.everything()
        for request in (tenant.by_clone, tenant.by_backup, tenant.by_bundle):
            with pytest.raises(FleetError, match=r"has rows of its own in (legends|numbers) of the extension legends"):
                request()
        assert (tenant.fleet.everything(), tenant.lost()) == (before, {})


def test_a_tenant_that_exists_gets_them_before_it_is_migrated(make: Make) -> None:
    """The script does not call what the tenant has put into its way."""
    with make(PLAIN) as tenant:
        tenant.execute(GUARD)
        tenant.execute(DECOY)
        own = tenant.fleet.servers["main"].own_url(tenant.place().database)
        with pytest.raises(Exception, match=CAUGHT):
            tenant.fleet.ask("SELECT public.lower('X'::varchar)", own)
        give(tenant, "legends")
        add_revision(tenant, USES_LEGENDS)
        tenant.done(tenant.ask(request_migration, "acme"))
        assert extensions_of(tenant) == {"legends": "public"}
        assert tenant.fleet.ask("SELECT word FROM public.legends", own) == [("built in",)]
        assert tenant.fleet.ask("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'making%%'", own) == []


@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        ("legends, anchored", "the extension anchored cannot be made where a tenant has something already"),
        ("legends, leaning", "the extension leaning cannot be made where a tenant has something already"),
        ("legends, nothing_such", "the server does not have the extension nothing_such"),
    ],
)
def test_what_cannot_be_made_safely_is_refused_and_nothing_is_made(make: Make, extensions: str, reason: str) -> None:
    with make(PLAIN) as tenant:
        give(tenant, extensions)
        add_revision(tenant, USES_LEGENDS)
        assert reason in tenant.failed(tenant.ask(request_migration, "acme"))
        give(tenant, "legends")
        assert (extensions_of(tenant), tenant.lost()) == ({}, {})


@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        ("nothing_such", "the server does not have the extension nothing_such"),
        ("towering", "the extension towering is made in a schema of its own, tower, which no restore can fill"),
        ("leaning, legends", "the extension leaning requires legends, which is not named before it"),
    ],
)
def test_a_setting_that_cannot_be_carried_out_makes_no_tenant(make: Make, extensions: str, reason: str) -> None:
    with make(PLAIN) as tenant:
        give(tenant, extensions)
        before = tenant.fleet.everything()
        with pytest.raises(FleetError, match=reason):
            tenant.fleet.create("globex")
        assert tenant.fleet.everything() == before


@pytest.mark.parametrize(
    "point", ["database.make_extensions:before", "database.make_extensions:after", "database.give:after"]
)
def test_a_restore_is_killed_while_they_are_made(make: Make, point: str) -> None:
    with make(USES_BOTH, "legends, anchored") as tenant:
        tenant.succeeded(tenant.backup())
        tenant.restore_as("acme", "restored")
        Hanging("tests.contract.hanging_worker", json.dumps(tenant.fleet.values), point).kill()
        tenant.fleet.settle()
        assert tenant.lost("restored") == {}


@pytest.mark.parametrize("point", ["extensions.make_missing:before", "extensions.make_missing:after"])
def test_a_migration_is_killed_while_they_are_made(make: Make, point: str) -> None:
    with make(PLAIN) as tenant:
        give(tenant, "legends")
        add_revision(tenant, USES_LEGENDS)
        migration = tenant.ask(request_migration, "acme")
        Hanging("tests.contract.hanging_worker", json.dumps(tenant.fleet.values), point).kill()
        tenant.fleet.settle()
        assert (tenant.outcome(migration).state, extensions_of(tenant)) == ("succeeded", {"legends": "public"})
