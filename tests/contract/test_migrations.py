"""Migrations make what the models say, all of it or nothing, one process at a time."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Integer, Table, inspect, select, text
from sqlalchemy.engine import URL

from tenantapp.audit.models import Forgetting
from tenantapp.credentials.models import KnownDevice
from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.errors import (
    DatabaseBusy,
    DatabaseUnreachable,
    HistoryError,
    MigrationFailed,
    NothingToRevise,
    RevisionRefused,
)
from tenantapp.databases.histories.environment import run_command
from tenantapp.databases.histories.full_text import include_object
from tenantapp.databases.histories.histories import History, head_revision, metadata_of
from tenantapp.databases.histories.targets import Target
from tenantapp.databases.histories.upgrading import (
    current_revision,
    upgrade,
    upgrade_tenant_database,
    upgrade_user_database,
)
from tenantapp.databases.schemas import autogenerate as revisions
from tenantapp.databases.schemas.autogenerate import make_revision
from tenantapp.databases.servers.scratch import scratch_database
from tenantapp.federation.models import FederatedIdentity, IdentityProvider, ProvisionedPerson
from tenantapp.identity.errors import LooksLikeAnother
from tenantapp.identity.grants import add_grant, find_grant, list_grants
from tenantapp.identity.models import Role, Tenant, User
from tenantapp.identity.permissions import ROLES
from tenantapp.identity.service_accounts import create_service_account
from tenantapp.identity.tenants import get_tenant, place_of
from tenantapp.identity.users import add_skeletons, create_user, list_users
from tenantapp.settings import Settings, read_settings
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.models import TenantBase
from tests.contract.conftest import Fleet
from tests.contract.forks import Program
from tests.contract.migrations_at_work import connect

ROOT = Path(__file__).parents[2]
HISTORIES: tuple[History, ...] = ("user", "tenant")
MORE = 'op.create_table("more", sa.Column("id", sa.Integer, primary_key=True))'


def structure(url: URL) -> dict[str, Any]:
    """All that the engine tells of the tables, in no particular order."""
    with connect(url) as connection:
        inspector = inspect(connection)
        tables = set(inspector.get_table_names()) - {"alembic_version"}
        return {
            table: {
                "columns": [
                    (column["name"], str(column["type"]), column["nullable"], column["default"])
                    for column in inspector.get_columns(table)
                ],
                "pk": inspector.get_pk_constraint(table),
                **{
                    kind: sorted(map(_written, getattr(inspector, f"get_{kind}")(table)))
                    for kind in ("foreign_keys", "unique_constraints", "check_constraints", "indexes")
                },
            }
            for table in tables
        }


def _written(found: Any) -> str:
    """A reflected constraint; the condition of a partial index is an object that differs each time."""
    options = {name: str(value) for name, value in found.get("dialect_options", {}).items()}
    return str({**found, "dialect_options": options})


def tables(url: URL) -> set[str]:
    """The names of the tables."""
    with connect(url) as connection:
        return set(inspect(connection).get_table_names())


def tenant_url(fleet: Fleet, place: TenantPlace) -> URL:
    return fleet.servers[place.server].tenant_url(place.database)


@pytest.mark.parametrize("history", HISTORIES)
def test_models_and_migrations_agree(fleet: Fleet, history: History) -> None:
    metadata = metadata_of(fleet.settings, history)
    with (
        scratch_database(fleet.services, history) as migrated,
        scratch_database(fleet.services, history) as made,
    ):
        assert upgrade(Target(fleet.settings, history, "scratch", migrated)) == head_revision(fleet.settings, history)
        with connect(made) as connection, connection.begin():
            metadata.create_all(connection)
        with connect(migrated) as connection:
            assert (
                compare_metadata(
                    MigrationContext.configure(connection, opts={"include_object": include_object}), metadata
                )
                == []
            )
        assert structure(migrated) == structure(made)


@pytest.mark.parametrize("history", HISTORIES)
def test_downgrading_removes_everything(fleet: Fleet, history: History) -> None:
    with scratch_database(fleet.services, history) as url:
        target = Target(fleet.settings, history, "scratch", url)
        upgrade(target)
        run_command(target, lambda config: command.downgrade(config, "base"))
        assert tables(url) == {"alembic_version"}


def test_a_downgrade_keeps_every_role_or_is_refused(fleet: Fleet) -> None:
    """Before, a member had one role in a tenant."""
    target = Target(fleet.settings, "user", "the user database", fleet.migrated().user_db.engine.url)
    with fleet.user_db.begin() as session:
        tenant = Tenant(slug="acme", name="Acme", server="main", database="tenant_1")
        session.add(tenant)
        create_user(session, "ada")
        session.flush()
        for role in ("admin", "reader"):
            add_grant(session, tenant.id, role, login="ada")
    with pytest.raises(MigrationFailed, match="1 members have several roles in a tenant"):
        run_command(target, lambda config: command.downgrade(config, "b6e4d1072f9a"))
    with fleet.user_db.begin() as session:
        session.delete(find_grant(session, get_tenant(session, "acme").id, "reader", login="ada"))
    run_command(target, lambda config: command.downgrade(config, "b6e4d1072f9a"))
    run_command(target, lambda config: command.upgrade(config, "head"))
    with fleet.user_db.begin() as session:
        assert [grant.role for grant in list_grants(session, get_tenant(session, "acme").id)] == ["admin"]


def test_a_downgrade_makes_no_people_of_service_accounts(fleet: Fleet) -> None:
    target = Target(fleet.settings, "user", "the user database", fleet.migrated().user_db.engine.url)
    with fleet.user_db.begin() as session:
        tenant = Tenant(slug="acme", name="Acme", server="main", database="tenant_1")
        session.add(tenant)
        create_user(session, "ada")
        session.flush()
        create_service_account(session, place_of(tenant), "robot", ["admin"], most=1)
        add_grant(session, tenant.id, "reader", login="ada")
    run_command(target, lambda config: command.downgrade(config, "0d4b7e92a1c6"))
    run_command(target, lambda config: command.upgrade(config, "head"))
    with fleet.user_db.begin() as session:
        assert [user.login for user in list_users(session)] == ["ada"]
        assert [grant.role for grant in list_grants(session, get_tenant(session, "acme").id)] == ["reader"]


def test_whom_a_directory_has_shut_out_is_known_after_the_upgrade(fleet: Fleet) -> None:
    """Somebody of whom it has not said so was disabled by others, and so was who is being forgotten."""
    target = Target(fleet.settings, "user", "the user database", fleet.migrated().user_db.engine.url)
    with fleet.user_db.begin() as session:
        tenant = Tenant(slug="acme", name="Acme", server="main", database="tenant_1")
        session.add(tenant)
        session.flush()
        names = dict.fromkeys(("name", "issuer", "client_id", "groups_claim", "factor_values"), "x")
        provider = IdentityProvider(tenant_id=tenant.id, **names)
        session.add(provider)
        session.flush()
        for login in ("shut-out", "disabled", "leaving"):
            user = create_user(session, login)
            user.identity_provider_id, user.enabled = provider.id, False
            person = {"user_name": login, "user_name_key": login, "document": {}, "active": login == "disabled"}
            session.add(ProvisionedPerson(provider_id=provider.id, user_id=user.id, **person))
            session.add(FederatedIdentity(provider_id=provider.id, subject=login, user_id=user.id))
            session.add(KnownDevice(token_hash=login.encode(), user_id=user.id))
        session.add(Forgetting(user_id=user.id))
    run_command(target, lambda config: command.downgrade(config, "4a8f0c6d9e27"))
    run_command(target, lambda config: command.upgrade(config, "head"))
    with fleet.user_db.begin() as session:
        assert [user.login for user in list_users(session) if user.disabled_by_provider] == ["shut-out"]
        provider = session.scalars(select(IdentityProvider)).one()
        assert (provider.only_provisioned, provider.admission_decided) == (True, True)
        assert {each.subject for each in session.scalars(select(FederatedIdentity)) if not each.shut_out} == {
            "disabled"
        }
        assert session.scalars(select(KnownDevice.by_provider)).all() == [True] * 3


def test_what_logins_look_like_is_noted_after_the_upgrade(fleet: Fleet) -> None:
    with fleet.migrated().user_db.begin() as session:
        session.add_all(User(login=login, name=login) for login in ("paypal", "ada", "paypa1"))
        session.flush()
        assert (add_skeletons(session), add_skeletons(session)) == (2, 0)
        with pytest.raises(LooksLikeAnother, match="looks like another"):
            create_user(session, "p\u0430y\u0440\u0430l")
        assert [user.login for user in list_users(session) if user.login_skeleton is None] == ["paypa1"]


def test_the_user_database_starts_with_the_roles(fleet: Fleet) -> None:
    with fleet.migrated().user_db.begin(read_only=True) as session:
        found = session.scalars(select(Role).order_by(Role.rank)).all()
        assert [(role.name, role.rank) for role in found] == list(zip(ROLES, (10, 20, 30, 40), strict=True))
        assert {role.name: {held.permission for held in role.permissions} for role in found} == {
            name: set(permissions) for name, permissions in ROLES.items()
        }


def test_upgrading_again_changes_nothing(fleet: Fleet) -> None:
    assert upgrade_user_database(fleet.settings) == upgrade_user_database(fleet.settings)
    assert current_revision(fleet.user_db) == head_revision(fleet.settings, "user")


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        ("raise LookupError", LookupError),
        ("op.execute('nonsense')", MigrationFailed),
        ("op.get_bind().connection.cursor().execute('nonsense')", MigrationFailed),
    ],
)
def test_a_failing_migration_leaves_nothing(fleet: Fleet, failing: str, error: type[Exception]) -> None:
    place = fleet.initialised().create("acme")
    before = tables(tenant_url(fleet, place))
    settings = fleet.with_revision("tenant", f"{MORE}; op.execute('INSERT INTO more VALUES (1)'); {failing}")
    with pytest.raises(error):
        upgrade_tenant_database(fleet.under(settings), place)
    assert tables(tenant_url(fleet, place)) == before
    assert upgrade_tenant_database(fleet.services, place) == head_revision(fleet.settings, "tenant")


def test_a_migration_may_not_leave_dangling_rows(fleet: Fleet) -> None:
    """PostgreSQL checks while it runs, SQLite at its end."""
    place = fleet.initialised().create("acme")
    insert = f"INSERT INTO node_tags (node_id, tag_id) VALUES ('{uuid7().hex}', '{uuid7().hex}')"
    settings = fleet.with_revision("tenant", f'op.execute("{insert}")')
    with pytest.raises(MigrationFailed):
        upgrade_tenant_database(fleet.under(settings), place)
    with connect(tenant_url(fleet, place)) as connection:
        assert connection.scalar(text("SELECT count(*) FROM node_tags")) == 0


def test_a_table_with_rows_that_refer_to_it_can_be_altered(fleet: Fleet) -> None:
    """SQLite makes such a table anew; with foreign keys enforced that would delete the rows."""
    place = fleet.initialised().create("acme")
    person, node, tag = (uuid7() for _ in range(3))
    with connect(tenant_url(fleet, place)) as connection, connection.begin():
        for table, values in (
            ("people", {"id": person, "name": "Ada"}),
            ("tags", {"id": tag, "name": "a"}),
            ("nodes", {"id": node, "owner_id": person, "title": "t", "body": "b", "status": "draft", "version": 1}),
            ("node_tags", {"node_id": node, "tag_id": tag}),
        ):
            connection.execute(TenantBase.metadata.tables[table].insert(), values)
    alter = 'batch.alter_column("title", type_=sa.String(300), existing_nullable=False)'
    settings = fleet.with_revision("tenant", f'with op.batch_alter_table("nodes") as batch: {alter}')
    assert upgrade_tenant_database(fleet.under(settings), place) == "feedc0de0001"
    with connect(tenant_url(fleet, place)) as connection:
        assert connection.scalar(text("SELECT count(*) FROM node_tags")) == 1


def test_the_revision_is_noted(fleet: Fleet) -> None:
    place = fleet.initialised().create("acme")
    upgrade_tenant_database(fleet.under(fleet.with_revision("tenant", MORE)), place)
    with fleet.user_db.begin(read_only=True) as session:
        assert session.scalars(select(Tenant.revision)).one() == "feedc0de0001"
    # A database that is ahead of the program.
    with pytest.raises(MigrationFailed, match=r"the database of acme .*feedc0de0001"):
        upgrade_tenant_database(fleet.services, place)


def test_two_processes_upgrade_at_once(fleet: Fleet) -> None:
    """Neither the database nor a table is there yet. The second waits, and finds nothing to do."""
    settings = fleet.with_revision("user", f"time.sleep(0.3); {MORE}; op.execute('INSERT INTO more VALUES (1)')")
    values = json.dumps(fleet.values | {"migrations.user": str(settings.migrations_user)})
    running = [Program("tests.contract.upgrading", values) for _ in range(3)]
    ended = [program.end() for program in running]
    assert [(program.stdout, program.returncode) for program in ended] == [("feedc0de0001\n", 0)] * 3, ended
    with fleet.user_db.begin(read_only=True) as session:
        assert session.scalar(text("SELECT count(*) FROM more")) == 1


def test_a_database_that_another_migrates_is_not_waited_for_for_ever(fleet: Fleet) -> None:
    place = fleet.initialised().create("acme")
    hasty = fleet.under(replace(fleet.settings, migrations_wait=0.2))
    with (
        migration_connection(tenant_url(fleet, place), "another") as connection,
        connection.begin(),
        pytest.raises(DatabaseBusy, match="the database of acme"),
    ):
        upgrade_tenant_database(hasty, place)
    upgrade_tenant_database(hasty, place)


def test_a_table_in_use_is_not_waited_for_for_ever(fleet: Fleet) -> None:
    place = fleet.initialised().create("acme")
    settings = fleet.with_revision("tenant", 'op.add_column("people", sa.Column("more", sa.Integer))')
    with connect(tenant_url(fleet, place)) as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if fleet.admin is None else "LOCK TABLE people IN SHARE MODE")
        with pytest.raises(DatabaseBusy):
            upgrade_tenant_database(fleet.under(replace(settings, migrations_wait=0.2)), place)


def test_a_database_that_is_not_there(fleet: Fleet) -> None:
    place = TenantPlace(uuid7(), "nix", "Nix", "main", "tenant_nix")
    with pytest.raises(DatabaseUnreachable, match="the database of nix"):
        upgrade_tenant_database(fleet.services, place)
    assert not [thing for thing in fleet.made() if "tenant_nix" in thing]


def test_a_history_that_cannot_be_used(fleet: Fleet) -> None:
    for location in (fleet.directory / "nowhere", "no_such_package:history"):
        with pytest.raises(HistoryError):
            head_revision(fleet.settings_with("user", Path(location)), "user")


class TestAlembicCommandLine:
    """Plain Alembic works on the same databases, through the same code."""

    @pytest.fixture
    def alembic(self, fleet: Fleet) -> Any:
        settings = [f"{name} = {value.replace('%', '%%')}" for name, value in fleet.values.items()]
        lines = ["[app:main]", "use = egg:tenantapp", *settings]
        for history in HISTORIES:
            lines += [f"[{history}]", f"script_location = {ROOT}/alembic/{history}"]
        ini = fleet.directory / "tenantapp.ini"
        ini.write_text("\n".join(lines))

        def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
            return Program("tests.contract.alembic_command", "-c", str(ini), "-n", *arguments, **environment).end()

        return run

    def test_user(self, fleet: Fleet, alembic: Any) -> None:
        assert alembic("user", "upgrade", "head").returncode == 0
        assert current_revision(fleet.user_db) == head_revision(fleet.settings, "user")
        assert head_revision(fleet.settings, "user") in alembic("user", "current").stdout
        assert "No new upgrade operations" in alembic("user", "check").stdout
        assert "CREATE TABLE users" in alembic("user", "upgrade", "head", "--sql").stdout

    def test_tenant(self, fleet: Fleet, alembic: Any) -> None:
        fleet.initialised().create("acme")
        assert alembic("tenant", "-x", "tenant=acme", "downgrade", "base").returncode == 0
        with fleet.user_db.begin(read_only=True) as session:
            assert session.scalars(select(Tenant.revision)).one() is None
        assert alembic("tenant", "-x", "tenant=acme", "upgrade", "head").returncode == 0
        with fleet.user_db.begin(read_only=True) as session:
            assert session.scalars(select(Tenant.revision)).one() == head_revision(fleet.settings, "tenant")

    def test_what_is_missing_is_said_in_a_sentence(self, fleet: Fleet, alembic: Any) -> None:
        assert "FAILED: The user database does not answer" in alembic("tenant", "-x", "tenant=a", "current").stdout
        fleet.migrated()
        assert "FAILED: Say which tenant's database is meant" in alembic("tenant", "current").stdout
        assert "FAILED: There is no tenant nix." in alembic("tenant", "-x", "tenant=nix", "current").stdout
        assert head_revision(fleet.settings, "tenant") in alembic("tenant", "heads").stdout

    def test_another_history_than_ours_is_refused(self, fleet: Fleet, alembic: Any) -> None:
        fleet.initialised().create("acme")
        ours = {"TENANTAPP_MIGRATIONS_TENANT": str(fleet.copy_of("tenant"))}
        refused = alembic("tenant", "-x", "tenant=acme", "upgrade", "head", **ours)
        assert "FAILED: The section [tenant] is about another history than the setting" in refused.stdout


class TestMakeRevision:
    """A builder changes a model, and gets a migration."""

    @pytest.fixture
    def changed(self) -> Any:
        table = Table(
            "moments", TenantBase.metadata, Column("id", Integer, primary_key=True), Column("at", UtcDateTime)
        )
        yield table
        TenantBase.metadata.remove(table)

    @pytest.fixture
    def settings(self, fleet: Fleet) -> Settings:
        return fleet.settings_with("tenant", fleet.copy_of("tenant"))

    @pytest.mark.usefixtures("changed")
    def test_the_difference_is_written(self, fleet: Fleet, settings: Settings) -> None:
        place = fleet.initialised().create("acme")
        before = fleet.made()
        path = make_revision(fleet.under(settings), "tenant", 'Moments, of "times"')
        assert fleet.made() == before
        written = path.read_text()
        assert written.startswith('"""Moments, of \'times\'\n')
        assert 'sa.Column("at", sa.DateTime(timezone=True), nullable=True)' in written
        for check in (("check", "--select", "E,F,I,UP"), ("format", "--check")):
            subprocess.run([sys.executable, "-m", "ruff", *check, "--quiet", path], check=True)
        assert upgrade_tenant_database(fleet.under(settings), place) in path.name
        with connect(tenant_url(fleet, place)) as connection, connection.begin():
            connection.exec_driver_sql("INSERT INTO moments VALUES (1, '2026-01-02 03:04:05+00')")
            assert isinstance(connection.scalar(text("SELECT at FROM moments")), datetime | str)
        with pytest.raises(NothingToRevise):
            make_revision(fleet.under(settings), "tenant", "Again")

    @pytest.mark.parametrize("history", HISTORIES)
    def test_nothing_to_change(self, fleet: Fleet, history: History) -> None:
        copy = fleet.copy_of(history)
        before, files = fleet.made(), set((copy / "versions").glob("*.py"))
        with pytest.raises(NothingToRevise, match=r"agree.*\.$"):
            make_revision(fleet.under(fleet.settings_with(history, copy)), history, "Nothing")
        assert set((copy / "versions").glob("*.py")) == files
        assert fleet.made() == before

    def test_a_missing_message_is_said_first(self, fleet: Fleet, settings: Settings) -> None:
        with pytest.raises(RevisionRefused, match="message"):
            make_revision(fleet.under(settings), "tenant", " \n")

    @pytest.mark.usefixtures("changed")
    def test_without_ruff_it_is_laid_out_all_the_same(
        self, fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(revisions, "find_spec", lambda name: None)
        path = make_revision(fleet.under(settings), "tenant", "Moments")
        assert "###" not in path.read_text()
        subprocess.run([sys.executable, "-m", "ruff", "format", "--check", "--quiet", path], check=True)

    def test_nothing_is_written_into_an_installed_package(self, fleet: Fleet) -> None:
        installed = fleet.directory / "site-packages"
        installed.mkdir()
        settings = fleet.settings_with("tenant", fleet.copy_of("tenant").rename(installed / "migrations"))
        with pytest.raises(RevisionRefused, match=r"installed package, .*; set migrations\.tenant to"):
            make_revision(fleet.under(settings), "tenant", "More")

    @pytest.mark.usefixtures("changed")
    def test_the_first_revision_of_an_empty_history(self, fleet: Fleet, settings: Settings) -> None:
        versions = Path(str(settings.migrations_tenant)) / "versions"
        for path in versions.glob("*.py"):
            path.unlink()
        with pytest.raises(HistoryError, match="no newest revision"):
            head_revision(settings, "tenant")
        assert 'op.create_table(\n        "nodes"' in make_revision(fleet.under(settings), "tenant", "All").read_text()

    def test_a_domain_without_models(self, fleet: Fleet) -> None:
        own = {"tenantapp.domain": "tenantapp.ops", "migrations.tenant": str(fleet.copy_of("tenant"))}
        settings = read_settings(fleet.values | own, {})
        with pytest.raises(HistoryError, match=r"tenantapp\.ops\.models"):
            make_revision(fleet.under(settings), "tenant", "More")
