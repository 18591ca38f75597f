"""Branches: clones that are deleted at their time, and removed without a final copy."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tenantapp.fleet.backups.requests import request_restore
from tenantapp.fleet.copying.branches import expire_after
from tenantapp.fleet.copying.requests import request_clone
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.removing.deletion import undelete
from tenantapp.identity.audit import list_entries
from tenantapp.identity.errors import InvalidValue, NotFound, TenantDeleted, TenantExpires
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import get_tenant, rename_tenant
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.foreground import run_now
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import cancel_operation, list_operations, retry_operation
from tenantapp.sql.times import utcnow
from tests.contract.conftest import Fleet, work
from tests.contract.health import ours
from tests.contract.kept import WEEK

HOUR = timedelta(hours=1)


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """With a tenant, and without a store for final copies."""
    fleet.initialised().create("acme")
    return fleet


def branch(fleet: Fleet, slug: str = "debug", expires_in: timedelta = WEEK) -> None:
    def request(session: Session, operation_id: UUID | None) -> Operation:
        return request_clone(session, fleet.services, "acme", slug, **asked(expires_in, operation_id))

    run_now(fleet.services, KINDS, request)


def asked(expires_in: timedelta, operation_id: UUID | None = None) -> dict[str, Any]:
    return {"expires_in": expires_in, "requested_by": "local:tests", "operation_id": operation_id}


def times(fleet: Fleet, slug: str = "debug") -> tuple[str, datetime | None, datetime | None]:
    """The state of a tenant, when it expires, and when it is removed."""
    with fleet.user_db.begin(read_only=True) as session:
        found = get_tenant(session, slug)
        return found.state, found.expires_at, found.purge_after


def change(fleet: Fleet, slug: str, name: str, time: datetime) -> None:
    with fleet.user_db.begin() as session:
        session.execute(update(Tenant).where(Tenant.slug == slug).values({name: time}))


def test_it_goes_by_itself(fleet: Fleet) -> None:
    branch(fleet)
    work(fleet.services)
    state, at, _ = times(fleet)
    assert at is not None
    assert (state, abs(at - utcnow() - WEEK) < HOUR) == ("active", True)
    change(fleet, "debug", "expires_at", utcnow() - HOUR)
    work(fleet.services)
    state, _, after = times(fleet)
    assert after is not None
    grace = timedelta(days=fleet.settings.fleet_delete_grace)
    assert (state, abs(after - utcnow() - grace) < HOUR) == ("deleted", True)
    change(fleet, "debug", "purge_after", utcnow() - HOUR)
    work(fleet.services)
    with fleet.user_db.begin(read_only=True) as session:
        assert session.scalars(select(Tenant.slug)).all() == ["acme"]
        (removal,) = [operation for operation in list_operations(session) if operation.kind == "delete"]
        assert (removal.state, removal.result["final_copy"]) == ("succeeded", None)
        details = {entry.action: entry.detail for entry in list_entries(session, slug="debug")}
    assert details["delete.request"]["arguments"]["copy"] is False
    assert "expires_at" in details["tenant.delete"]
    assert ours(fleet) == []
    assert times(fleet, "acme") == ("active", None, None)


def test_it_is_kept_or_given_another_time(fleet: Fleet) -> None:
    change(fleet, "acme", "expires_at", utcnow() - HOUR)  # as if it were a branch
    work(fleet.services)
    assert times(fleet, "acme")[0] == "deleted"
    with pytest.raises(TenantDeleted), fleet.user_db.begin() as session:
        expire_after(session, "acme", WEEK)
    with fleet.user_db.begin() as session:
        undelete(session, "acme", KINDS)
    work(fleet.services)
    assert times(fleet, "acme") == ("active", None, None)
    with pytest.raises(InvalidValue, match="Only branches expire"), fleet.user_db.begin() as session:
        expire_after(session, "acme", WEEK)
    change(fleet, "acme", "expires_at", utcnow() + HOUR)
    with fleet.user_db.begin() as session:
        later = expire_after(session, "acme", 2 * WEEK).expires_at
        assert later is not None
        assert later - utcnow() > WEEK
        assert expire_after(session, "acme", None).expires_at is None
        said = [entry.detail["expires_at"] for entry in list_entries(session, action="tenant.expire")]
        assert said == [None, later.isoformat()]


def test_it_does_not_take_the_place_of_another_tenant(fleet: Fleet) -> None:
    """Its time would still come, and nothing would be copied before it is removed."""
    change(fleet, "acme", "expires_at", utcnow() + HOUR)  # as if it were a branch
    with pytest.raises(TenantExpires, match="not renamed, because it expires"), fleet.user_db.begin() as session:
        rename_tenant(session, "acme", "other")
    with pytest.raises(TenantExpires, match=r"expire acme --never"), fleet.user_db.begin() as session:
        request_restore(session, fleet.services, "acme", requested_by="local:tests")
    with fleet.user_db.begin() as session:
        assert rename_tenant(session, "acme", "acme", name="Another").name == "Another"
        expire_after(session, "acme", None)
        rename_tenant(session, "acme", "other")
    assert times(fleet, "other") == ("active", None, None)


def test_the_time_has_bounds(fleet: Fleet) -> None:
    for refused in (timedelta(0), timedelta(minutes=59), timedelta(days=366)):
        with pytest.raises(InvalidValue), fleet.user_db.begin() as session:
            request_clone(session, fleet.services, "acme", "other", **asked(refused))
        with pytest.raises(InvalidValue), fleet.user_db.begin() as session:
            expire_after(session, "acme", refused)
    with pytest.raises(NotFound):
        times(fleet, "other")


def test_a_branch_whose_time_is_over_is_not_made_again(fleet: Fleet) -> None:
    with fleet.user_db.begin() as session:
        operation = request_clone(session, fleet.services, "acme", "other", **asked(HOUR))
        cancel_operation(session, operation.id, KINDS)
        operation.arguments = {**operation.arguments, "expires_at": (utcnow() - HOUR).isoformat()}
        cancelled = operation.id
    with pytest.raises(OperationRefused, match="would have expired"), fleet.user_db.begin() as session:
        retry_operation(session, cancelled, KINDS)
    with pytest.raises(NotFound):
        times(fleet, "other")
