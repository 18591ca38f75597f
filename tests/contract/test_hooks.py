"""A domain's hooks are run, each once, whoever makes, copies, renames or removes a tenant, and whoever dies."""

import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import create_engine, update
from sqlalchemy.pool import NullPool

from tenantapp.domain_declarations import DomainNotLoaded
from tenantapp.fleet.bundles.exporting import export_bundle
from tenantapp.fleet.bundles.importing import import_tenant
from tenantapp.fleet.copying.requests import request_adopt, request_clone
from tenantapp.fleet.creating.create import request_create
from tenantapp.fleet.errors import HookFailed
from tenantapp.fleet.hooks.after import rename
from tenantapp.fleet.kinds import KINDS
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import cancel_operation, list_operations, retry_operation
from tests import seeding
from tests.contract.conftest import Fleet
from tests.contract.foreign import Foreign
from tests.contract.health import nothing_is_left_over, works
from tests.contract.kept import BY, WEEK, Kept
from tests.contract.killed import each
from tests.contract.templates import pool, warmed

SEEDED = ["created {}", "tagged"]
WITHIN = ("hook.call:after", "hook.run:after")


@pytest.fixture
def kept(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kept:
    """With the tenant acme, of a domain that has hooks."""
    fleet.change_settings(**seeding.SETTINGS)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Kept(fleet)


def left(kept: Kept, slug: str) -> list[str]:
    """What hooks have left in a tenant's database, in order."""
    place = kept.place(slug)
    engine = create_engine(kept.fleet.servers[place.server].tenant_url(place.database), poolclass=NullPool)
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT name FROM people ORDER BY id").scalars())


def seeded(slug: str) -> list[str]:
    return [text.format(slug) for text in SEEDED]


def create(kept: Kept, slug: str) -> UUID:
    """Ask for a tenant, as the API does."""
    return kept.within(lambda session: request_create(session, kept.fleet.services, slug, requested_by=BY).id)


def renamed(kept: Kept, slug: str, new: str) -> UUID:
    """Rename, as the API does; returns the operation of the hook."""

    def change(session: Any) -> UUID:
        _, (operation,) = rename(session, kept.fleet.services, slug, new, requested_by=BY)
        return operation.id

    return kept.within(change)


def hooks_to_do(kept: Kept) -> list[Operation]:
    """The operations of hooks, the newest first."""
    with kept.fleet.user_db.begin(read_only=True) as session:
        found = list_operations(session, kind="hook")
        session.expunge_all()
        return found


def broken(tmp_path: Path) -> Path:
    """While it is there, hooks fail for tenants that are called bad."""
    path = tmp_path / "broken"
    path.touch()
    return path


def test_a_new_tenant_is_seeded_before_it_is_served(kept: Kept) -> None:
    assert left(kept, "acme") == seeded("acme")
    kept.done(create(kept, "globex"))
    assert left(kept, "globex") == seeded("globex")
    works(kept.fleet, "globex")


@each("hook.run:before", *WITHIN, "operation.complete:before")
def test_who_makes_a_tenant_may_die_at_any_point(kept: Kept, point: str) -> None:
    operation = create(kept, "globex")
    kept.worker_killed_at(point)
    kept.fleet.settle()
    kept.done(operation)
    assert left(kept, "globex") == seeded("globex")
    works(kept.fleet, "globex")
    nothing_is_left_over(kept)


@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
def test_a_tenant_from_a_warm_database_is_seeded_too(kept: Kept, dies: bool) -> None:
    warmed(kept.fleet, 1)
    ((_, warm, _),) = pool(kept.fleet)
    operation = create(kept, "globex")
    assert kept.outcome(operation).state == "queued"
    if dies:
        kept.worker_killed_at("hook.call:after")
        kept.fleet.settle()
    result = kept.done(operation).result
    assert (result["warm"], kept.place("globex").database) == (True, warm)
    assert left(kept, "globex") == seeded("globex")


def test_each_way_to_make_a_tenant_has_its_event(kept: Kept, tmp_path: Path) -> None:
    kept.done(kept.backup())
    kept.done(kept.restore_as("acme", "restored"))
    export_bundle(kept.fleet.services, kept.place(), tmp_path / "bundle")
    import_tenant(kept.fleet.services, tmp_path / "bundle", "imported")
    kept.done(kept.ask(request_clone, "acme", "cloned"))
    kept.done(kept.ask(request_clone, "cloned", "again"))
    for slug in ("restored", "imported", "cloned"):
        assert left(kept, slug) == [*seeded("acme"), f"cloned {slug} from acme"]
    assert left(kept, "again") == [*left(kept, "cloned"), "cloned again from cloned"]
    kept.done(kept.restore())
    assert left(kept, "acme") == seeded("acme")


def test_no_hook_is_told_of_a_rehearsal(kept: Kept) -> None:
    kept.done(kept.ask(request_clone, "acme", "tried", expires_in=WEEK, rehearsal=True))
    assert left(kept, "tried") == seeded("acme")
    kept.done(kept.delete("tried", copy=False))
    assert hooks_to_do(kept) == []


def test_an_adopted_database_is_seeded_unless_it_was_before(kept: Kept) -> None:
    foreign = Foreign(kept.fleet, "main" if kept.fleet.admin else "files")
    kept.done(kept.ask(request_adopt, "adopted", foreign.name))
    assert left(kept, "adopted")[-2:] == seeded("adopted")
    mark = "INSERT INTO tenant_hooks VALUES ('created', 'tests.seeding:{}', '{}', '2026-01-01 00:00:00')"
    foreign.do(*(mark.format(name, kept.place().id.hex) for name in ("seed", "tag")))
    kept.done(kept.ask(request_adopt, "again", foreign.name))
    assert not set(left(kept, "again")) & {"created again", "tagged"}


def test_a_hook_that_raises_undoes_its_tenant_and_no_other(kept: Kept, tmp_path: Path) -> None:
    file, before = broken(tmp_path), kept.databases()
    warmed(kept.fleet, 1)
    failing, other = create(kept, "bad"), create(kept, "globex")
    assert kept.failed(failing) == (
        "The hook tests.seeding:seed (created) failed for the tenant bad: ValueError: no seeds."
    )
    assert kept.outcome(other).state == "succeeded"
    assert kept.slugs() == ["acme", "globex"]
    assert kept.databases() == before | {kept.place("globex").database}
    with pytest.raises(HookFailed, match="tenant bad"):
        kept.fleet.create("bad")
    nothing_is_left_over(kept)
    file.unlink()
    kept.within(lambda session: retry_operation(session, failing, KINDS))
    kept.done(failing)
    assert left(kept, "bad") == seeded("bad")


@each(*WITHIN)
def test_a_rename_is_told_once_whoever_dies(kept: Kept, point: str) -> None:
    operation = renamed(kept, "acme", "initech")
    kept.worker_killed_at(point)
    kept.fleet.settle()
    kept.done(operation)
    kept.done(renamed(kept, "initech", "acme"))
    assert left(kept, "acme") == [*seeded("acme"), "acme is initech", "initech is acme"]


def test_a_hook_of_a_rename_is_repeated_until_it_succeeds(kept: Kept, tmp_path: Path) -> None:
    file = broken(tmp_path)
    operation = renamed(kept, "acme", "bad")
    kept.work()
    found = kept.outcome(operation)
    assert (found.state, found.result) == ("queued", {"failures": 1})
    assert "failed for the tenant bad" in str(found.error)
    assert found.lease_until is not None
    kept.work()  # it is not due yet
    assert kept.outcome(operation).result == {"failures": 1}
    kept.within(lambda session: retry_operation(session, operation, KINDS))
    kept.work()
    assert kept.outcome(operation).result == {"failures": 2}
    file.unlink()
    kept.within(lambda session: retry_operation(session, operation, KINDS))
    kept.done(operation)
    assert left(kept, "bad") == [*seeded("acme"), "acme is bad"]


@each("hook.call:before", "hook.call:after")
def test_a_removal_is_told_at_least_once_whoever_dies(kept: Kept, point: str) -> None:
    database = kept.place().database
    result = kept.outcome(kept.delete(copy=False))
    kept.worker_killed_at(point)
    assert (kept.slugs(), kept.databases()) == ([], set()), "the tenant is gone, whatever its hooks do"
    kept.fleet.settle()
    (operation,) = hooks_to_do(kept)
    assert (operation.state, operation.slug) == ("succeeded", "acme")
    assert set(seeding.lines()) == {f"deleted acme {database}"}
    assert len(seeding.lines()) == (1 if point.endswith("before") else 2)
    assert kept.outcome(result.id).result["hooks"] == ["tests.seeding:removed"]


def test_a_hook_of_a_removal_is_repeated_until_it_succeeds_or_somebody_cancels_it(kept: Kept, tmp_path: Path) -> None:
    kept.done(renamed(kept, "acme", "bad"))
    broken(tmp_path)
    kept.done(kept.delete("bad", copy=False))
    (operation, _) = hooks_to_do(kept)
    assert (operation.state, operation.result) == ("queued", {"failures": 1})
    assert "seeding:removed (deleted) failed for the tenant bad" in str(operation.error)
    kept.within(lambda session: cancel_operation(session, operation.id, KINDS))
    kept.work()
    assert kept.outcome(operation.id).state == "cancelled"
    assert len(seeding.lines()) == 1
    nothing_is_left_over(kept)


def test_a_database_without_the_table_of_hooks_is_named(kept: Kept) -> None:
    kept.execute("DROP TABLE tenant_hooks")
    operation = renamed(kept, "acme", "initech")
    kept.work()
    assert "has no table tenant_hooks; migrate it first" in str(kept.outcome(operation).error)


def test_a_hook_that_the_domain_has_no_more_is_named(kept: Kept) -> None:
    operation = renamed(kept, "acme", "initech")
    kept.within(
        lambda session: session.execute(update(Operation).values(arguments={"event": "renamed", "hook": "a:b"}))
    )
    kept.work()
    assert kept.outcome(operation).error == "The domain declares no hook a:b for the event renamed any more."


def test_a_domain_that_cannot_be_loaded_makes_and_removes_nothing(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def slipped(config: Any) -> None:
        raise RuntimeError("a slip")

    operation = kept.delete(copy=False)
    monkeypatch.setattr(seeding, "includeme", slipped)
    kept.fleet.change_settings()
    with pytest.raises(DomainNotLoaded, match="a slip"):
        kept.fleet.create("globex")
    assert "a slip" in kept.failed(operation)
    assert kept.databases() == {kept.place().database}
