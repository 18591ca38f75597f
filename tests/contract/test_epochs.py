"""A tenant's epoch: it changes whenever the content may go back or be another's, and only then."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy.engine import URL

from tenantapp.databases.histories.environment import run_command
from tenantapp.databases.histories.targets import tenant_target, user_target
from tenantapp.databases.histories.upgrading import upgrade_tenant_database, upgrade_user_database
from tenantapp.fleet.bundles.exporting import export_bundle
from tenantapp.fleet.bundles.importing import import_tenant
from tenantapp.fleet.closing.fence import lower_fence, raise_fence
from tenantapp.fleet.closing.switching import switch
from tenantapp.fleet.copying.requests import request_clone
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.removing.deletion import delete_later, undelete
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import rename_tenant, renew_epochs, resume_tenant, suspend_tenant
from tenantapp.operations.models import Operation
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tests.contract.conftest import Fleet
from tests.contract.copies import create_on, four_servers, place, work
from tests.contract.foreign import Foreign
from tests.contract.kept import WEEK, Kept
from tests.contract.migrations_at_work import FIRST, SECOND, Yard


def epoch(fleet: Fleet, slug: str = "acme") -> str:
    found = place(fleet, slug).epoch
    assert len(found) == 11
    return found


@contextmanager
def changes(fleet: Fleet, slug: str = "acme") -> Iterator[None]:
    before = epoch(fleet, slug)
    yield
    assert epoch(fleet, slug) != before


@contextmanager
def stays(fleet: Fleet, slug: str = "acme") -> Iterator[None]:
    before = epoch(fleet, slug)
    yield
    assert epoch(fleet, slug) == before


def test_every_way_to_another_content_changes_it(fleet: Fleet, tmp_path: Path) -> None:
    """What is made of a tenant has an epoch of its own, and a restored tenant a new one."""
    kept, bundle = Kept(fleet), tmp_path / "acme.bundle"
    first = epoch(fleet)
    fleet.create("globex")
    kept.done(kept.ask(request_clone, "acme", "clone"))
    kept.done(kept.backup())
    kept.done(kept.restore_as("acme", "restored"))
    export_bundle(fleet.services, kept.place(), bundle)
    import_tenant(fleet.services, bundle, "imported")
    assert epoch(fleet) == first, "what is read does not change"
    with changes(fleet):
        kept.done(kept.restore())
    assert len({first, *(epoch(fleet, slug) for slug in kept.slugs())}) == 1 + len(kept.slugs()) == 6


def test_what_leaves_the_content_alone_does_not_change_it(fleet: Fleet) -> None:
    kept = Kept(fleet)
    with stays(fleet):
        kept.within(lambda session: suspend_tenant(session, "acme", "unpaid"))
        kept.within(lambda session: resume_tenant(session, "acme"))
        kept.within(lambda session: delete_later(session, "acme", WEEK))
        kept.within(lambda session: undelete(session, "acme", KINDS))
        kept.within(lambda session: rename_tenant(session, "acme", "other"))
        kept.within(lambda session: rename_tenant(session, "other", "acme"))
        # An upgrade that finds nothing to do, and a restore that fails.
        upgrade_tenant_database(fleet.services, kept.place())
        kept.done(kept.backup())
        (record,) = kept.store.records(kept.place().id)
        (Path(str(fleet.settings.backups_store)) / record.file).write_bytes(b"x")
        kept.failed(kept.restore())


@pytest.mark.parametrize(("result", "kept"), [({"compared": True}, True), ({"compared": False}, False), ({}, False)])
def test_only_a_move_whose_content_was_compared_keeps_it(fleet: Fleet, result: dict[str, bool], kept: bool) -> None:
    """After a replication the comparison is given up when it takes too long. A restore compares nothing."""
    fleet.migrated()
    with fleet.user_db.begin() as session:
        until = utcnow() + timedelta(minutes=1)
        tenant = Tenant(slug="acme", name="A", server="main", database="old", state="active", migrating_until=until)
        session.add(tenant)
        session.flush()
        given = {"server": "main", "database": "new", "from_server": "main", "from_database": "old", "keep": 60}
        switched = Operation(
            kind="x", tenant_id=tenant.id, arguments=given, result={"revision": "r", **result}, requested_by="local:x"
        )
        before = tenant.epoch
        switch(session, switched)
        assert (tenant.database, tenant.epoch == before) == ("new", kept)


@pytest.mark.parametrize(("source", "target"), [("files", "shelf"), ("server", "files")])
def test_a_move_keeps_it(postgres_server: URL, logical_server: URL, tmp_path: Path, source: str, target: str) -> None:
    with four_servers(postgres_server, logical_server, tmp_path) as fleet:
        create_on(fleet, source, "acme")
        with stays(fleet):
            assert work(fleet, "move", "acme", target)["compared"]
        foreign = Foreign(fleet, source)
        work(fleet, "adopt", "adopted", foreign.name, server=source)
        assert epoch(fleet, "adopted") != epoch(fleet)


class TestMigrations:
    """A migration may change any row without counting a version, and a copy may be put back."""

    HALF = 'op.create_table("half", sa.Column("id", sa.Integer)); raise RuntimeError("half")'

    @pytest.fixture
    def yard(self, fleet: Fleet) -> Yard:
        yard = Yard(fleet, 3)
        yard.add_revision()
        return yard

    def test_a_migration_changes_it(self, yard: Yard) -> None:
        with changes(yard.fleet, "t00"), changes(yard.fleet, "t01"), stays(yard.fleet, "t02"):
            yard.migrate(slugs=["t00", "t01"])
        with stays(yard.fleet, "t00"), changes(yard.fleet, "t02"):
            yard.migrate()

    def test_it_changes_when_the_fence_goes_up(self, yard: Yard) -> None:
        """The fence of a killed process falls by itself, whatever is in the database then."""
        with changes(yard.fleet, "t00"), yard.fleet.user_db.begin() as session:
            raise_fence(session.connection(), yard.places[0].id, changes=True)
        with stays(yard.fleet, "t01"), yard.fleet.user_db.begin() as session:
            raise_fence(session.connection(), yard.places[1].id)
            lower_fence(session.connection(), yard.places[1].id)

    @pytest.mark.parametrize("snapshot", [False, True])
    def test_a_failed_one_changes_it_before_people_are_let_in(self, yard: Yard, snapshot: bool) -> None:
        yard.add_revision(self.HALF, revision=SECOND, before=FIRST)
        with changes(yard.fleet, "t00"):
            yard.migrate(slugs=["t00"], snapshot=snapshot)
        assert yard.fences() == []

    def test_alembics_own_command_changes_it(self, yard: Yard) -> None:
        services = yard.services
        with changes(yard.fleet, "t00"):
            target = tenant_target(services, place(yard.fleet, "t00"), record=True)
            run_command(target, partial(command.upgrade, revision="head"))


def test_an_operator_declares_that_the_content_went_back(fleet: Fleet) -> None:
    kept = Kept(fleet)
    fleet.create("globex")
    with changes(fleet), stays(fleet, "globex"):
        kept.within(lambda session: renew_epochs(session, ["acme"]))
    with changes(fleet), changes(fleet, "globex"):
        kept.within(lambda session: renew_epochs(session, server="main"))
    kept.within(lambda session: delete_later(session, "acme", WEEK))
    with changes(fleet), changes(fleet, "globex"):
        assert kept.within(lambda session: [tenant.slug for tenant in renew_epochs(session)]) == ["acme", "globex"]
    with stays(fleet), pytest.raises(NotFound):
        kept.within(lambda session: renew_epochs(session, ["acme", "nix"]))


def test_tenants_that_there_are_get_one_each_and_older_programs_go_on(fleet: Fleet) -> None:
    target = user_target(fleet.settings)
    before, columns = "1e5c8fa03b7d", "id, slug, name, state, server, database, created_at"
    old = "INSERT INTO tenants ({}) VALUES ('{}', '{}', 'T', 'active', 'main', '{}', '2026-01-31 09:00:00+00:00')"
    names = [uuid7() for _ in range(3)]

    def made_by_an_older_program(number: int) -> None:
        form = str(names[number]) if fleet.admin else names[number].hex
        with fleet.user_db.begin() as session:
            session.connection().exec_driver_sql(old.format(columns, form, f"t{number}", f"d{number}"))

    fleet.migrated()
    run_command(target, partial(command.downgrade, revision=before))
    for number in (0, 1):
        made_by_an_older_program(number)
    upgrade_user_database(fleet.settings)
    assert epoch(fleet, "t0") != epoch(fleet, "t1")
    made_by_an_older_program(2)
    assert place(fleet, "t2").epoch == names[2].hex
    run_command(target, partial(command.downgrade, revision=before))
    upgrade_user_database(fleet.settings)
