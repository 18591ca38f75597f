"""A fleet whose settings name a store of backups, with a tenant that has something to lose."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from tenantapp.databases.servers.base import TENANT_PREFIX
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.backups.requests import request_backup, request_restore, request_restore_as
from tenantapp.fleet.backups.store import Store, open_store
from tenantapp.fleet.removing.deletion import delete_later, request_purge
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import get_tenant, place_of
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import get_operation
from tenantapp.tenancy.access import TenantPlace
from tests.contract.conftest import Fleet, work
from tests.contract.forks import Hanging
from tests.contract.rows import add_tag, found
from tests.postgres import postgres_bin

BY = "local:tests"
WEEK = timedelta(days=7)


def with_store(fleet: Fleet) -> Fleet:
    """The fleet, whose settings name a store from now on. A removal waits for the time of a request, no longer."""
    fleet.values |= {"backups.store": str(fleet.directory / "backups"), "connections.timeout": "0.1"}
    if tools := postgres_bin("pginstall18"):
        fleet.values["backups.postgres_bin"] = tools
    fleet.__post_init__()
    return fleet


class Kept:
    """The tenant acme has the tag ``first``, which its backups have as well."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = with_store(fleet)
        fleet.initialised().create("acme")
        add_tag(fleet, self.place(), "first")

    @property
    def store(self) -> Store:
        return open_store(self.fleet.settings)

    def place(self, slug: str = "acme") -> TenantPlace:
        with self.fleet.user_db.begin(read_only=True) as session:
            return place_of(get_tenant(session, slug))

    def add_tag(self, name: str) -> None:
        add_tag(self.fleet, self.place(), name)

    def execute(self, statement: str, slug: str = "acme") -> None:
        """As the tenant's own role; the statement is as it is written."""
        place = self.place(slug)
        engine = create_engine(self.fleet.servers[place.server].tenant_url(place.database), poolclass=NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(statement.replace("%", "%%") if self.fleet.admin else statement)

    def tags(self, slug: str = "acme") -> list[str]:
        """The tags of a tenant, whose database must say that it is its own."""
        place = self.place(slug)
        tags, identity = found(self.fleet, place)
        assert identity == [place.id]
        return tags

    def ask(self, request: Callable[..., Operation], *arguments: str, **options: Any) -> UUID:
        with self.fleet.user_db.begin() as session:
            return request(session, self.fleet.services, *arguments, requested_by=BY, **options).id

    def backup(self, slug: str = "acme") -> UUID:
        return self.ask(request_backup, slug)

    def restore(self, slug: str = "acme", **options: Any) -> UUID:
        return self.ask(request_restore, slug, **options)

    def restore_as(self, slug: str, new: str, **options: Any) -> UUID:
        return self.ask(request_restore_as, slug, new, **options)

    def work(self) -> None:
        work(self.fleet.services)

    def done(self, operation_id: UUID) -> Operation:
        """The operation, after a worker was there; it must have succeeded."""
        self.work()
        operation = self.outcome(operation_id)
        assert (operation.state, operation.error) == ("succeeded", None)
        return operation

    def failed(self, operation_id: UUID) -> str:
        """Why the operation failed, after a worker was there."""
        self.work()
        operation = self.outcome(operation_id)
        assert operation.state == "failed"
        return str(operation.error)

    def outcome(self, operation_id: UUID) -> Operation:
        with self.fleet.user_db.begin(read_only=True) as session:
            operation = get_operation(session, operation_id)
            session.expunge_all()
            return operation

    def slugs(self) -> list[str]:
        """Of the tenants that there are."""
        return list(self.within(lambda session: session.scalars(select(Tenant.slug).order_by(Tenant.slug)).all()))

    def kinds(self) -> list[str]:
        """Of the operations that were asked for, the oldest first."""
        return list(self.within(lambda session: session.scalars(select(Operation.kind).order_by(Operation.id)).all()))

    def within(self, change: Callable[[Session], Any]) -> Any:
        with self.fleet.user_db.begin() as session:
            return change(session)

    def delete(self, slug: str = "acme", **options: Any) -> UUID:
        """Delete a tenant for good; a worker is to do it."""
        with self.fleet.user_db.begin() as session:
            delete_later(session, slug, timedelta(0))
            return request_purge(session, self.fleet.services, slug, requested_by=BY, **options).id

    def databases(self) -> set[str]:
        """The databases of tenants that there are, or of which something is there."""
        found = databases_on(self.fleet.servers["main"]).found()
        mark = self.fleet.mark()
        return {each.name for each in found if each.mark == mark and each.name.startswith(TENANT_PREFIX)}

    def worker_killed_at(self, point: str, **environment: str) -> None:
        """Work in another process, and kill it there (SIGKILL)."""
        Hanging("tests.contract.hanging_worker", json.dumps(self.fleet.values), point, **environment).kill()
