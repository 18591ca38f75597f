"""What a history says about privileges and settings of PostgreSQL is the same in every copy, or the copy is refused.

``make schemas`` shows that it is the same. Here is the rest.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy.engine import URL

from tenantapp.databases.connections.maintenance_engines import maintenance_connection
from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.errors import PrivilegesNotCarried, RolesMissing
from tenantapp.databases.histories.histories import head_revision
from tenantapp.databases.privileges.giving import everything_allowed
from tenantapp.databases.schemas.expected import structure_at
from tenantapp.databases.schemas.structure import difference
from tenantapp.databases.servers.identity_rows import write_identity
from tenantapp.databases.servers.postgres_templates import hand_over
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.snapshots import snapshot_of
from tenantapp.databases.servers.templates import current_template
from tenantapp.fleet.backups import restoring
from tenantapp.fleet.backups.rehearsing import rehearse_restore
from tenantapp.fleet.backups.restoring import restore_database
from tenantapp.fleet.copying import copies
from tenantapp.fleet.copying.copies import copy_database
from tenantapp.fleet.copying.originals import original_of
from tenantapp.fleet.errors import CopyFailed, CopyRefused
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.reconciling.mending import mend
from tenantapp.fleet.reconciling.reconcile import Problem
from tenantapp.sql.ids import uuid7
from tests.contract.conftest import everything_on
from tests.contract.copies import work
from tests.contract.forks import Hanging
from tests.contract.health import ours
from tests.contract.rows import findings
from tests.schemas.constructs import Construct
from tests.schemas.state import differences, read_state
from tests.schemas.verbs import REVISION, Schemas, schemas

HISTORY = """
CREATE TABLE figures (id int PRIMARY KEY);
CREATE FUNCTION secret() RETURNS text LANGUAGE sql AS 'SELECT ''secret''';
REVOKE EXECUTE ON FUNCTION secret() FROM PUBLIC;
GRANT SELECT ON figures TO reporting;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET timezone = ''CET''', current_database());
    EXECUTE format('ALTER DATABASE %I SET lock_timeout = ''1s''', current_database());
END $$;
"""
# Whoever restores a dump computes the checks, as the role that owns the database.
OPENING = """
CREATE FUNCTION opened() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('transaction_read_only') = 'off' THEN
        EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO PUBLIC', current_database());
    END IF;
    RETURN true;
END $$;
CREATE TABLE opening (id int CHECK (opened()));
INSERT INTO opening VALUES (1);
"""
POLICY = """
CREATE TABLE secrets (id int PRIMARY KEY);
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON secrets TO reporting USING (true);
"""
LATER = """
CREATE TABLE own (id int PRIMARY KEY);
ALTER TABLE own ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON own TO CURRENT_USER USING (true);
GRANT ALL ON SCHEMA public TO CURRENT_USER
"""


@pytest.fixture(scope="module")
def tenant(postgres_server: URL, logical_server: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Schemas]:
    servers = {"main": postgres_server, "other": logical_server}
    construct = Construct("privileges", HISTORY, "INSERT INTO figures VALUES (1)")
    with schemas(servers, tmp_path_factory.mktemp("privileges"), construct) as tenant:
        yield tenant


def as_superuser(tenant: Schemas, *statements: str, slug: str = "acme") -> list[Any]:
    """Rows of the last statement, in the tenant's database."""
    url, place = tenant.servers["main"], tenant.place(slug)
    address = {"host": url.query["host"], "user": url.username, "dbname": place.database}
    with psycopg2.connect(**address) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def is_open(tenant: Schemas, slug: str = "acme") -> bool:
    """Whether every role of the server may connect to the tenant's database."""
    return any(
        as_superuser(tenant, "SELECT has_database_privilege('public', current_database(), 'CONNECT')", slug=slug)[0]
    )


def altered(tenant: Schemas, words: str | None = None, **more: str) -> str:
    """The id of the backup, whose record says this of the privileges of figures, and ``more``, and nothing else."""
    if not tenant.store.records(tenant.place().id):
        tenant.done(tenant.backup())
    record = tenant.store.records(tenant.place().id)[0]
    privileges = more if words is None else {"table figures": words, **more}
    tenant.store.add(record.model_copy(update={"privileges": privileges}))
    return record.id


def test_a_record_is_not_believed(tenant: Schemas) -> None:
    before = tenant.databases()
    known = 'GRANT SELECT TO "reporting"'
    words = f'{known}; GRANT ALL TO "reporting"; GRANT ALL TO PUBLIC; GRANT ALL TO "tenant_of_another"'
    opening = {"database": "GRANT CONNECT TO PUBLIC; SET \"TimeZone\" TO 'UTC'"}
    for wrong, more, message in [
        (
            words,
            {},
            'table figures: GRANT ALL TO "reporting"; table figures: GRANT ALL TO PUBLIC; table figures: GRANT',
        ),
        ("GRANT ALL TO PUBLIC", {}, "table figures: GRANT ALL TO PUBLIC; --accept-drift restores it without them"),
        (None, opening, "does not give: database: GRANT CONNECT TO PUBLIC; database: SET \"TimeZone\" TO 'UTC'; --acc"),
        (f"{words}; DROP", {}, f"has something that no copy can be given: table figures: {words}; DROP."),
        (known, {}, "function secret(): privileges differs: it should be (REVOKE EXECUTE FROM PUBLIC)"),
    ]:
        assert message in tenant.failed(tenant.restore_as("acme", "past", backup=altered(tenant, wrong, **more)))
    assert tenant.databases() == before
    backup = altered(tenant, words, **opening)
    done = tenant.done(tenant.restore_as("acme", "past", backup=backup, accept_drift=True))
    assert len(done.result["left_out"]) == 5
    granted = "SELECT grantee FROM information_schema.table_privileges WHERE table_name = 'figures' AND grantee <> %s"
    others = granted.replace("%s", f"'{tenant.place('past').database}'")
    assert as_superuser(tenant, others, slug="past") == [("reporting",)]
    assert not is_open(tenant, "past")


def test_no_dump_opens_a_database(tenant: Schemas) -> None:
    tenant.execute(OPENING)
    assert is_open(tenant)
    work(tenant.fleet, "clone", "acme", "opening", accept_drift=True)
    assert as_superuser(tenant, "SELECT id FROM opening", slug="opening") == [(1,)]
    assert not is_open(tenant, "opening")
    # Neither does what is executed between that and the identity.
    place = tenant.place()
    write_identity(tenant.fleet.servers["main"].tenant_url(place.database), "acme", place.id, CopyFailed)
    assert not is_open(tenant)
    as_superuser(tenant, "DROP TABLE opening", "DROP FUNCTION opened()")


def test_a_backup_of_an_earlier_version(tenant: Schemas) -> None:
    """It gets the privileges of its revision."""
    tenant.done(tenant.restore_as("acme", "earlier", backup=altered(tenant)))
    assert tenant.lost("earlier") == {}


def test_a_restore_that_was_interrupted_before_they_were_given(
    tenant: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is begun again, and finds all of the dump restored."""

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    altered(tenant)
    server, database = tenant.fleet.servers["main"], f"tenant_{uuid7().hex}"
    record = tenant.store.records(tenant.place().id)[0]
    given = (tenant.fleet.services, server, database, record, tenant.store, tenant.fleet.mark(), "it")
    privileges = dict(structure_at(server.own_url(tenant.place().database), "acme").privileges)
    privileges["database"] += "; GRANT CONNECT TO PUBLIC"  # nobody gets that, whatever is given
    with monkeypatch.context() as patch:
        patch.setattr(restoring, "give_privileges", interrupted)
        with pytest.raises(KeyboardInterrupt):
            restore_database(*given, privileges=privileges)
    restore_database(*given, privileges=privileges)
    url = tenant.servers["main"]
    assert differences(tenant.original, read_state(url, database, url), url) == {}


def test_what_no_copy_can_be_given(tenant: Schemas) -> None:
    as_superuser(
        tenant,
        "GRANT SELECT ON figures TO reporting WITH GRANT OPTION",
        "SET LOCAL ROLE reporting",
        "GRANT SELECT ON figures TO PUBLIC",
    )
    assert 'table figures: GRANT SELECT TO "reporting"' in tenant.failed(tenant.backup())
    as_superuser(tenant, "REVOKE GRANT OPTION FOR SELECT ON figures FROM reporting CASCADE")
    assert tenant.lost() == {}


def test_another_owner_is_named(tenant: Schemas) -> None:
    url, place = tenant.servers["main"], tenant.place()
    address = tenant.fleet.servers["main"].own_url(place.database)
    before = structure_at(address, "acme")
    as_superuser(tenant, f'ALTER FUNCTION secret() OWNER TO "{url.username}"')
    after = structure_at(address, "acme")
    assert difference(before, after) == [f"function secret(): owner {url.username} should not be there"]
    assert after.definitions == before.definitions  # a dump has no owners, so a backup can be restored
    as_superuser(tenant, f'ALTER FUNCTION secret() OWNER TO "{place.database}"')


def test_a_role_that_the_other_server_lacks(tenant: Schemas) -> None:
    other = tenant.servers["other"]
    tenant.fleet.ask("DROP ROLE reporting", other)
    before = everything_on(other)
    for kind, *arguments in (("clone", "acme", "elsewhere"), ("move", "acme", "other")):
        with pytest.raises(RolesMissing, match="The server other has no role reporting, which the database of acme"):
            work(tenant.fleet, kind, *arguments, **({"server": "other"} if kind == "clone" else {}))
    assert everything_on(other) == before
    tenant.fleet.ask("CREATE ROLE reporting", other)


def test_a_bundle_in_between(tenant: Schemas, tmp_path: Path) -> None:
    """Between servers whose tools do not fit."""
    tools = tenant.fleet.values["backups.postgres_bin"]
    tenant.fleet.change_settings(backups_postgres_bin=str(tmp_path))
    as_superuser(tenant, "GRANT INSERT ON figures TO reporting")
    with pytest.raises(CopyFailed, match="those of these are not of the history: table figures"):
        work(tenant.fleet, "clone", "acme", "by-bundle")
    as_superuser(tenant, "REVOKE INSERT ON figures FROM reporting")
    tenant.fleet.change_settings(backups_postgres_bin=tools)


def test_what_cannot_be_given_again_is_one_sentence(tenant: Schemas) -> None:
    """Where a history has it, and where a template has."""
    server, place = tenant.fleet.servers["main"], tenant.place()
    url = server.own_url(place.database)
    rest = {"schema public": 'GRANT USAGE TO PUBLIC BY "reporting"'}
    as_superuser(
        tenant,
        f'REVOKE TRUNCATE ON figures FROM "{place.database}"',
        "GRANT SELECT ON figures TO reporting WITH GRANT OPTION",
        "SET LOCAL ROLE reporting",
        "GRANT SELECT ON figures TO PUBLIC",
    )
    with migration_connection(server.tenant_url(place.database), "acme") as connection, connection.begin() as begun:
        named = r'table figures: .* TO PUBLIC BY "reporting"'
        with pytest.raises(PrivilegesNotCarried, match=named), everything_allowed(connection, "acme"):
            pass
        begun.rollback()
    with maintenance_connection(url, "it") as connection, pytest.raises(PrivilegesNotCarried, match="The template t"):
        hand_over(connection, place.database, place.database, place.id, rest)
    as_superuser(
        tenant,
        "REVOKE GRANT OPTION FOR SELECT ON figures FROM reporting CASCADE",
        f'GRANT TRUNCATE ON figures TO "{place.database}"',
    )
    assert tenant.lost() == {}


def test_all_of_an_older_version_is_no_more_on_a_newer(tenant: Schemas, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL 17 brought MAINTAIN. The server of the original takes the part of an older one."""
    as_superuser(tenant, "GRANT ALL ON figures TO reporting", "GRANT ALL ON figures TO PUBLIC")
    fleet, place = tenant.fleet, tenant.place()
    new = replace(place, database=f"tenant_{uuid7().hex}")
    original = original_of(fleet.servers, place)
    with monkeypatch.context() as patch:
        patch.setattr(copies, "server_version", lambda connection: (16, 4))
        copy_database(fleet.services, original, new, fleet.mark(), lambda *_: None)
    found = structure_at(fleet.servers["main"].own_url(new.database), "the copy").privileges["table figures"]
    rights = "DELETE, INSERT, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE"
    assert found == f'GRANT {rights} TO "reporting"; GRANT {rights} TO PUBLIC'
    databases_on(fleet.servers["main"]).drop(new.database)
    as_superuser(tenant, "REVOKE ALL ON figures FROM PUBLIC, reporting", "GRANT SELECT ON figures TO reporting")


def test_a_rehearsal_names_what_a_restore_leaves_out(tenant: Schemas) -> None:
    words = 'GRANT SELECT TO "reporting"; GRANT INSERT TO "reporting"'
    backup = altered(tenant, words)
    record = next(each for each in tenant.store.records(tenant.place().id) if each.id == backup)
    done = rehearse_restore(tenant.fleet.services, tenant.fleet.servers["main"], record, tenant.store)
    assert done.drift[0] == 'table figures: GRANT INSERT TO "reporting"'


def test_a_copy_is_put_back_after_a_migration(tenant: Schemas) -> None:
    place = tenant.place()
    snapshot = snapshot_of(tenant.fleet.servers["main"], place.database, "acme")
    snapshot.take()
    as_superuser(tenant, f"ALTER DATABASE \"{place.database}\" SET timezone = 'UTC'", "DROP FUNCTION secret()")
    snapshot.put_back()
    assert tenant.lost() == {}


def test_a_database_whose_policies_are_for_others_is_not_adopted(postgres_server: URL, tmp_path: Path) -> None:
    """A dump has the roles of policies, and so would the tenant."""
    with schemas({"main": postgres_server}, tmp_path, Construct("policies", POLICY, "SELECT 1")) as tenant:
        fleet, theirs = tenant.fleet, f"their_{uuid7().hex}"
        fleet.ask(f'CREATE DATABASE "{theirs}" TEMPLATE "{tenant.place().database}"')
        url = fleet.servers["main"].own_url(theirs)
        fleet.ask("DELETE FROM tenant_identity", url)
        fleet.ask("ALTER POLICY mine ON secrets TO PUBLIC", url)
        differs = 'table secrets: privileges differs: it should be .POLICY "mine" TO "reporting". and is .as PostgreSQL'
        with pytest.raises(CopyRefused, match=differs):
            work(fleet, "adopt", "theirs", theirs, server="main")
        fleet.ask("ALTER POLICY mine ON secrets TO reporting", url)
        fleet.ask("GRANT SELECT ON secrets TO PUBLIC", url)  # no dump has it
        work(fleet, "adopt", "theirs", theirs, server="main")
        assert findings(fleet, tenant.place("theirs"), fleet.settings) == ()


@pytest.mark.parametrize(
    "point", ["database.open_to_owner:after", "template.hand_over:before", "template.hand_over:after"]
)
def test_a_tenant_that_was_killed_half_made_is_finished(tenant: Schemas, point: str) -> None:
    fleet, slug = tenant.fleet, f"half{uuid7().hex[-6:]}"
    Hanging("tests.contract.hanging", json.dumps(fleet.values), slug, point).kill()
    fleet.lapse()
    found = [finding for finding in ours(fleet) if finding.problem == Problem.OPERATION]
    assert [mend(fleet.services, KINDS, finding) for finding in found] == [True]
    place, url = tenant.place(slug), tenant.servers["main"]
    there = read_state(url, place.database, url)
    assert findings(fleet, place, fleet.settings) == ()
    assert there["settings"] == read_state(url, tenant.place().database, url)["settings"]
    assert "ALTER DEFAULT PRIVILEGES" in there["definitions"]


def test_a_new_revision(tenant: Schemas) -> None:
    """The old template goes, although earlier versions have left its default privileges in copies."""
    (old,) = [name for kind, name in everything_on(tenant.servers["main"]) if kind == "role" and "template_" in name]
    as_superuser(tenant, f'ALTER DEFAULT PRIVILEGES FOR ROLE "{old}" REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC')
    fleet = tenant.fleet
    later = Path(fleet.values["migrations.tenant"]) / "versions" / "feedc0de0002_later.py"
    text = REVISION.format(head=head_revision(fleet.settings, "tenant"), statements=[LATER])
    later.write_text(text.replace('"feedc0de0001"', '"feedc0de0002"', 1))
    place = fleet.create("later")
    assert old not in {name for _, name in everything_on(tenant.servers["main"])}
    to = "SELECT polroles::regrole[]::text[] FROM pg_policy"
    assert as_superuser(tenant, to, slug="later") == [([place.database],)]
    url = tenant.servers["main"]
    before = read_state(url, place.database, url)
    template = current_template(fleet.services, fleet.mark(), fleet.servers.default).name
    databases_on(fleet.servers["main"]).copy_template(template, place.database, place.id, fleet.mark())
    assert differences(before, read_state(url, place.database, url), url) == {}
    refused = 'table own: POLICY "own" TO OWNER'
    assert refused in tenant.failed(tenant.backup("later"))
    # Nor can there be a final copy. The message says how the tenant is removed nevertheless.
    error = tenant.failed(tenant.delete("later"))
    assert refused in error
    assert error.endswith("or `tenantapp tenants delete later --now --without-copy` removes the tenant without a copy.")
    tenant.done(tenant.delete("later", copy=False))
    assert "later" not in tenant.slugs()
