"""A deleted tenant is served no more, can be brought back for a while, and then leaves nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tenantapp.databases.servers.snapshots import snapshot_of
from tenantapp.federation.models import IdentityProvider
from tenantapp.fleet.creating.create import request_create
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.removing.deletion import delete_later, purge_deleted, request_purge, undelete
from tenantapp.identity.audit import list_entries
from tenantapp.identity.errors import AlreadyExists, InvalidValue, TenantDeleted, TenantUnfinished
from tenantapp.identity.grants import add_grant
from tenantapp.identity.groups import create_group
from tenantapp.identity.models import Grant, Tenant, WebSession
from tenantapp.identity.tenants import get_tenant, rename_tenant, resume_tenant, suspend_tenant
from tenantapp.identity.users import create_user, list_users
from tenantapp.identity.web_sessions import hash_token
from tenantapp.operations.errors import OperationRefused, TenantBusy
from tenantapp.operations.foreground import run_now
from tenantapp.operations.leases import claim_next, give_back
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import list_operations, retry_operation
from tenantapp.sql.times import utcnow
from tests.contract.conftest import Fleet, work
from tests.contract.health import ours, works
from tests.contract.kept import WEEK, with_store


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """With two tenants, and a store for the copies that are kept of them."""
    with_store(fleet).initialised().create("globex")
    fleet.create("acme")
    return fleet


def state(fleet: Fleet, slug: str = "acme") -> str | None:
    with fleet.user_db.begin(read_only=True) as session:
        return session.scalar(select(Tenant.state).where(Tenant.slug == slug))


def delete(fleet: Fleet, grace: timedelta = WEEK) -> None:
    with fleet.user_db.begin() as session:
        delete_later(session, "acme", grace)


def test_it_can_be_brought_back(fleet: Fleet) -> None:
    delete(fleet)
    work(fleet.services)
    assert state(fleet) == "deleted"
    for refused in (
        lambda session: suspend_tenant(session, "acme", "unpaid"),
        lambda session: rename_tenant(session, "acme", "acme-two"),
    ):
        with pytest.raises(TenantDeleted), fleet.user_db.begin() as session:
            refused(session)
    with fleet.user_db.begin() as session:
        resume_tenant(session, "acme")
    assert state(fleet) == "deleted"
    with pytest.raises(AlreadyExists):
        fleet.create("acme")
    with fleet.user_db.begin() as session:
        undelete(session, "acme", KINDS)
    works(fleet, "acme")
    with pytest.raises(InvalidValue), fleet.user_db.begin() as session:
        undelete(session, "acme", KINDS)


def test_one_that_was_suspended_comes_back_suspended(fleet: Fleet) -> None:
    with fleet.user_db.begin() as session:
        suspend_tenant(session, "acme", "unpaid")
    delete(fleet)
    with fleet.user_db.begin() as session:
        undelete(session, "acme", KINDS)
    assert state(fleet) == "suspended"


def made_by_its_provider(session: Session, tenant: Tenant) -> None:
    """The provider of the tenant has made Carla and Dora, who are signed in by it. Dora is in another tenant too."""
    provider = IdentityProvider(
        tenant_id=tenant.id, name="Directory", issuer="x", client_id="x", groups_claim="x", factor_values=""
    )
    session.add(provider)
    session.flush()
    tenant.identity_provider_id = provider.id
    for login in ("carla", "dora"):
        user = create_user(session, login)
        user.identity_provider_id = provider.id
        by_it = {"token_hash": hash_token(login), "identity_provider_id": provider.id, "expires_at": utcnow()}
        session.add(WebSession(user_id=user.id, **by_it))
    add_grant(session, tenant.id, "reader", login="carla")
    add_grant(session, get_tenant(session, "globex").id, "reader", login="dora")


def test_nothing_is_left_after_the_grace_period(fleet: Fleet) -> None:
    with fleet.user_db.begin() as session:
        create_group(session, "editors")
        acme = get_tenant(session, "acme")
        database = acme.database
        add_grant(session, acme.id, "editor", group="editors")
        made_by_its_provider(session, acme)
    delete(fleet, timedelta(0))
    with fleet.user_db.begin() as session:
        waiting = request_purge(session, fleet.services, "acme", requested_by="local:tests", copy=False).id
        request_purge(session, fleet.services, "acme", requested_by="local:tests")
    work(fleet.services)
    assert state(fleet) is None
    assert not [thing for thing in fleet.everything() if database in thing]
    with fleet.user_db.begin(read_only=True) as session:
        # What its identity provider gave ends with it. Who is somebody elsewhere stays so.
        assert session.scalars(select(WebSession)).all() == []
        assert {user.login: user.enabled for user in list_users(session)} == {"carla": False, "dora": True}
        assert session.scalars(select(Grant.tenant_id)).all() == [get_tenant(session, "globex").id]
        done = {operation.id: operation for operation in list_operations(session) if operation.kind == "delete"}
        assert {operation.state for operation in done.values()} == {"succeeded", "cancelled"}
        assert done[waiting].result == {
            "final_copy": None,
            "database": "removed",
            "role": "removed",
            "grants": 2,
            "web_sessions": 0,
            "api_tokens": 0,
            "service_accounts": 0,
            "operations_cancelled": 1,
        }
    assert ours(fleet) == []
    works(fleet, "globex")
    fleet.create("acme")


def test_a_worker_sees_to_it(fleet: Fleet) -> None:
    delete(fleet)
    purge_deleted(fleet.services)
    assert state(fleet) == "deleted"
    with fleet.user_db.begin() as session:
        due = get_tenant(session, "acme").purge_after
        assert due is not None
        session.execute(update(Tenant).where(Tenant.slug == "acme").values(purge_after=due - 2 * WEEK))
    purge_deleted(fleet.services)
    purge_deleted(fleet.services)
    with fleet.user_db.begin(read_only=True) as session:
        assert len(list_operations(session, state="queued")) == 1
    work(fleet.services)
    assert state(fleet) is None


def purge(fleet: Fleet, **options: Any) -> UUID:
    with fleet.user_db.begin() as session:
        return request_purge(session, fleet.services, "acme", requested_by="local:tests", **options).id


def test_it_is_removed_once(fleet: Fleet) -> None:
    delete(fleet)
    first = purge(fleet)
    assert purge(fleet) == first
    with fleet.user_db.begin() as session:
        assert claim_next(session, KINDS) is not None
    assert purge(fleet) == first
    assert purge(fleet, copy=False) != first
    with fleet.user_db.begin(read_only=True) as session:
        requested = [entry.detail["arguments"]["copy"] for entry in list_entries(session, action="delete.request")]
    assert requested == [False, True]


def test_two_who_ask_at_once_get_the_same(fleet: Fleet) -> None:
    delete(fleet)
    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(lambda _: purge(fleet), range(4)))) == 1


def test_a_command_works_on_what_is_queued_already(fleet: Fleet) -> None:
    delete(fleet)
    queued = purge(fleet, copy=False)

    def request(session: Session, operation_id: UUID) -> Operation:
        given: dict[str, Any] = {"requested_by": "local:tests", "copy": False, "operation_id": operation_id}
        return request_purge(session, fleet.services, "acme", **given)

    with fleet.user_db.begin() as session:
        claimed = claim_next(session, KINDS)
    assert claimed is not None
    with pytest.raises(TenantBusy):
        run_now(fleet.services, KINDS, request)
    with fleet.user_db.begin() as session:
        give_back(session, claimed)
    assert run_now(fleet.services, KINDS, request) == queued
    assert state(fleet) is None


def test_a_removal_that_has_begun_cannot_be_taken_back(fleet: Fleet) -> None:
    delete(fleet, timedelta(0))
    purge_deleted(fleet.services)
    with fleet.user_db.begin() as session:
        undelete(session, "acme", KINDS)  # nobody has begun
    assert state(fleet) == "active"
    work(fleet.services)
    works(fleet, "acme")
    delete(fleet, timedelta(0))
    with fleet.user_db.begin() as session:
        request_purge(session, fleet.services, "acme", requested_by="local:tests", copy=False)
        assert claim_next(session, KINDS) is not None
    with pytest.raises(OperationRefused), fleet.user_db.begin() as session:
        undelete(session, "acme", KINDS)
    fleet.settle()
    assert state(fleet) is None


def test_a_removal_that_fails_can_be_retried(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> None:
        raise OSError("gone")

    delete(fleet, timedelta(0))
    with monkeypatch.context() as patch:
        patch.setattr("tenantapp.fleet.removing.deletion.remove_database", broken)
        work(fleet.services)
        work(fleet.services)
    with fleet.user_db.begin(read_only=True) as session:
        failed = session.scalars(select(Operation).where(Operation.kind == "delete")).one()
        assert (failed.state, failed.step) == ("failed", "database")
        failed_id = failed.id
    assert state(fleet) == "deleted"
    with fleet.user_db.begin() as session:
        retry_operation(session, failed_id, KINDS)
    work(fleet.services)
    assert state(fleet) is None


def test_only_what_is_deleted_is_purged(fleet: Fleet) -> None:
    with pytest.raises(InvalidValue), fleet.user_db.begin() as session:
        request_purge(session, fleet.services, "acme", requested_by="local:tests", copy=False)
    with fleet.user_db.begin() as session:
        request_create(session, fleet.services, "initech", requested_by="local:tests")
    with pytest.raises(TenantUnfinished), fleet.user_db.begin() as session:
        delete_later(session, "initech", WEEK)


def test_a_copy_that_a_migration_has_left_goes_too(fleet: Fleet) -> None:
    """Killed in a migration with a snapshot: the copy has the customer's data in it."""
    before = fleet.made()
    with fleet.user_db.begin(read_only=True) as session:
        database = get_tenant(session, "acme").database
    delete(fleet, timedelta(0))
    copy = snapshot_of(fleet.servers["main"], database, "the database of acme")
    copy.take()
    assert copy.exists()
    assert fleet.made() > before
    with fleet.user_db.begin() as session:
        request_purge(session, fleet.services, "acme", requested_by="local:tests", copy=False)
    work(fleet.services)
    assert state(fleet) is None
    assert not copy.exists()
    assert not any(database in thing for thing in fleet.made())


def test_a_copy_that_may_be_all_there_is_keeps_a_tenant(fleet: Fleet) -> None:
    """Its last migration did not succeed, and what that has changed is in the database; the final copy is of that."""
    with fleet.user_db.begin() as session:
        acme = get_tenant(session, "acme")
        migration = Operation(kind="migrate", tenant_id=acme.id, state="failed", requested_by="local:tests")
        session.add(migration)
        copy = snapshot_of(fleet.servers["main"], acme.database, "the database of acme")
    copy.take()
    delete(fleet, timedelta(0))
    work(fleet.services)
    assert (state(fleet), copy.exists()) == ("deleted", True)
    with fleet.user_db.begin() as session:
        failed = session.scalars(select(Operation).where(Operation.kind == "delete")).one()
        assert "the copy that its last migration has left would be removed too" in str(failed.error)
        retry_operation(session, failed.id, KINDS, without_copy=True)
    work(fleet.services)
    assert (state(fleet), copy.exists()) == (None, False)
