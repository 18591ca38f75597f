"""Extensions that only the role of a server may make: new databases have them, and nothing of theirs is lost."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.engine import URL

from tenantapp.fleet.bundles.exporting import export_bundle
from tenantapp.fleet.bundles.importing import import_tenant
from tenantapp.fleet.migrating.kind import request_migration
from tenantapp.operations.errors import FleetError
from tenantapp.sql.ids import uuid7
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
    "trusty": ("trusted = true\nrelocatable = true", "CREATE FUNCTION trust() RETURNS int LANGUAGE sql AS 'SELECT 1';"),
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


@pytest.fixture(scope="module")
def server(logical_server: URL) -> Iterator[URL]:
    """A server that has the extensions of these tests."""
    share = share_of(logical_server)
    (share / "extension").mkdir(parents=True)
    for name, (control, script) in EXTENSIONS.items():
        (share / "extension" / f"{name}.control").write_text(f"default_version = '1'\n{control}\n")
        (share / "extension" / f"{name}--1.sql").write_text(script)
    with asking_engine(logical_server).connect() as connection:
        for change in (f"SET extension_control_path TO '{share}:$system'", "RESET extension_control_path"):
            connection.exec_driver_sql(f"ALTER ROLE ALL {change}")
            if change.startswith("SET"):
                yield logical_server
    shutil.rmtree(share)


@contextmanager
def made(servers: Sequence[URL], directory: Path, schema: str, extensions: str = "") -> Iterator[Schemas]:
    """The tenant acme on ``main``, beside which there is ``other``, whose setting names no extensions."""
    construct = Construct("extensions", schema, "SELECT 1", extensions=extensions)
    with schemas(dict(zip(("main", "other"), servers, strict=True)), directory, construct) as tenant:
        tenant.fleet.values.pop("servers.other.extensions", None)
        tenant.fleet.__post_init__()
        yield tenant


@pytest.fixture(scope="module")
def using(server: URL, postgres_server: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Schemas]:
    """A tenant whose history uses two of them. Tests leave it as it is."""
    directory = tmp_path_factory.mktemp("using")
    with made((server, postgres_server), directory, USES_BOTH, "legends, anchored") as tenant:
        yield tenant


@pytest.fixture
def plain(server: URL, postgres_server: URL, tmp_path: Path) -> Iterator[Schemas]:
    """A tenant that was made before the setting named any."""
    with made((server, postgres_server), tmp_path, PLAIN) as tenant:
        yield tenant


def share_of(server: URL) -> Path:
    """Where the user of the server may read."""
    return Path(str(server.query["host"]), "share")


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


def own_url(tenant: Schemas, slug: str = "acme") -> URL:
    place = tenant.place(slug)
    return tenant.fleet.servers[place.server].own_url(place.database)


def test_every_new_database_has_them(using: Schemas) -> None:
    """They are a part of the structure if something uses them."""
    assert using.original["public.legends"] == [('(1,"built in")',)]
    assert using.by_clone() == using.by_backup() == using.by_bundle() == using.by_restore() == {}
    assert extensions_of(using, "imported") == {"anchored": "public", "legends": "public"}
    using.fleet.ask("DROP EXTENSION anchored CASCADE", own_url(using, "imported"))
    assert "extension anchored is missing" in findings(using.fleet, using.place("imported"), using.fleet.settings)


def test_a_restore_leaves_out_nothing_else(using: Schemas) -> None:
    """Large objects and casts are what ``pg_dump --extension`` leaves out."""
    using.execute("SELECT lo_from_bytea(77, 'kept'::bytea)")
    using.read_original()
    assert len(using.original["large objects"]) == 1
    assert using.by_backup("with-large-objects") == {}
    using.execute("SELECT lo_unlink(77)")
    using.read_original()


def test_a_server_that_does_not_make_them_is_refused_by_name(using: Schemas) -> None:
    refused = "The server other makes no extension anchored, legends, which {} has; install it on the server, and name"
    using.succeeded(using.backup())
    file = using.fleet.directory / "for_other.bundle"
    export_bundle(using.fleet.services, using.place(), file)
    before = using.fleet.everything()
    for what, request in (
        ("the database of acme", partial(work, using.fleet, "clone", "acme", "for-other", server="other")),
        ("the database of acme", partial(work, using.fleet, "move", "acme", "other")),
        ("the backup", lambda: using.succeeded(using.restore_as("acme", "for-other", server="other"))),
        ("the bundle", partial(import_tenant, using.fleet.services, file, "for-other", server="other")),
    ):
        with pytest.raises(FleetError, match=refused.format(what)):
            request()
    assert (using.fleet.everything(), using.lost()) == (before, {})


@pytest.mark.parametrize(
    ("rows", "undone"),
    [
        ("INSERT INTO legends VALUES (2, 'mine')", "DELETE FROM public.legends WHERE id > 1"),
        ("SELECT nextval('numbers')", "SELECT setval('public.numbers', 1, false)"),
    ],
)
def test_rows_that_nobody_could_restore_are_refused_by_name(using: Schemas, rows: str, undone: str) -> None:
    using.execute(rows)
    before = using.fleet.everything()
    clone = partial(work, using.fleet, "clone", "acme", "with-rows")
    for request in (clone, using.by_backup, using.by_bundle):
        with pytest.raises(FleetError, match=r"has rows of its own in (legends|numbers) of the extension legends"):
            request()
    using.fleet.ask(undone, own_url(using))
    assert (using.fleet.everything(), using.lost()) == (before, {})


def test_one_in_another_schema_is_refused_by_name(plain: Schemas) -> None:
    """A tenant has made a trusted one where it liked, and later the setting names it."""
    plain.execute("CREATE SCHEMA ext; CREATE EXTENSION trusty SCHEMA ext")
    plain.execute("ALTER TABLE public.words ALTER word SET DEFAULT ext.trust()")
    plain.read_original()
    plain.succeeded(plain.backup())
    give(plain, "trusty")
    before = plain.fleet.everything()
    for what, request in (
        ("The database of acme", partial(work, plain.fleet, "clone", "acme", "copied")),
        ("The database of acme", lambda: plain.succeeded(plain.backup())),
        ("The backup", lambda: plain.succeeded(plain.restore_as("acme", "restored"))),
    ):
        with pytest.raises(FleetError, match=f"{what} has the extension trusty in the schema ext, where no copy"):
            request()
    assert plain.fleet.everything() == before
    assert findings(plain.fleet, plain.place(), plain.fleet.settings) == (
        "its extension trusty is not in public, so it cannot be copied",
    )
    plain.fleet.ask("ALTER EXTENSION trusty SET SCHEMA public", own_url(plain))
    plain.read_original()
    assert set(plain.by_backup("after", accept_drift=True)) == {"findings"}  # no revision made it, and nothing is lost


@pytest.mark.parametrize(
    "point", ["database.make_extensions:before", "database.make_extensions:after", "database.give:after"]
)
def test_a_restore_is_killed_while_they_are_made(using: Schemas, point: str) -> None:
    new = f"restored{uuid7().hex[-6:]}"
    using.succeeded(using.backup())
    using.restore_as("acme", new)
    Hanging("tests.contract.hanging_worker", json.dumps(using.fleet.values), point).kill()
    using.fleet.settle()
    assert using.lost(new) == {}


def test_a_tenant_that_exists_gets_them_before_it_is_migrated(plain: Schemas) -> None:
    """The script does not call what the tenant has put into its way. What cannot be made safely is refused before."""
    plain.execute(GUARD)
    plain.execute(DECOY)
    with pytest.raises(Exception, match=CAUGHT):
        plain.fleet.ask("SELECT public.lower('X'::varchar)", own_url(plain))
    add_revision(plain, USES_LEGENDS)
    for extensions, reason in {
        "legends, anchored": "the extension anchored cannot be made where a tenant has something already",
        "legends, leaning": "the extension leaning cannot be made where a tenant has something already",
        "legends, nothing_such": "the server does not have the extension nothing_such",
    }.items():
        give(plain, extensions)
        assert reason in plain.failed(plain.ask(request_migration, "acme"))
        assert extensions_of(plain) == {}
    give(plain, "legends")
    plain.done(plain.ask(request_migration, "acme"))
    assert extensions_of(plain) == {"legends": "public"}
    assert plain.fleet.ask("SELECT word FROM public.legends", own_url(plain)) == [("built in",)]
    assert plain.fleet.ask("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'making%%'", own_url(plain)) == []


@pytest.mark.parametrize("point", ["extensions.make_missing:before", "extensions.make_missing:after"])
def test_a_migration_is_killed_while_they_are_made(plain: Schemas, point: str) -> None:
    give(plain, "legends")
    add_revision(plain, USES_LEGENDS)
    migration = plain.ask(request_migration, "acme")
    Hanging("tests.contract.hanging_worker", json.dumps(plain.fleet.values), point).kill()
    plain.fleet.settle()
    assert (plain.outcome(migration).state, extensions_of(plain)) == ("succeeded", {"legends": "public"})


def test_a_setting_that_cannot_be_carried_out_makes_no_tenant(plain: Schemas) -> None:
    before = plain.fleet.everything()
    for extensions, reason in {
        "nothing_such": "the server does not have the extension nothing_such",
        "towering": "the extension towering is made in a schema of its own, tower, which no restore can fill",
        "leaning, legends": "the extension leaning requires legends, which is not named before it",
    }.items():
        give(plain, extensions)
        with pytest.raises(FleetError, match=reason):
            plain.fleet.create("globex")
        assert plain.fleet.everything() == before


def test_a_role_that_is_no_superuser_makes_those_that_it_may(plain: Schemas) -> None:
    role = f"provisioner_{uuid7().hex[-8:]}"
    plain.fleet.ask(f"CREATE ROLE {role} CREATEDB CREATEROLE LOGIN PASSWORD 'sesame'")
    plain.fleet.ask(f"GRANT CONNECT ON DATABASE postgres TO {role}")
    url = plain.servers["main"].set(username=role, password="sesame", database="")
    plain.fleet.values["servers.main"] = url.render_as_string(hide_password=False)
    give(plain, "legends")
    with pytest.raises(
        FleetError, match=f"the role {role} may not make the extension legends, because it is not a sup"
    ):
        plain.fleet.create("globex")
    give(plain, "trusty")
    plain.fleet.create("globex")
    assert extensions_of(plain, "globex") == {"trusty": "public"}
    plain.fleet.ask(f"REVOKE CONNECT ON DATABASE postgres FROM {role}")
