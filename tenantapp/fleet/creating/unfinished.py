"""Tenants whose making was cut short."""

import time
from threading import Event
from typing import Final, cast

from sqlalchemy import CursorResult, delete, select

from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Kinds
from tenantapp.operations.queue import is_worked_on
from tenantapp.operations.worker import Worker
from tenantapp.tenancy.access import TenantPlace

POLL_EVERY: Final = 0.5  # seconds


def finish_or_discard(fleet: Fleet, kinds: Kinds, place: TenantPlace) -> str | None:
    """Wait until no operation works on a tenant that is being made. Work on operations whose worker has died.

    Then remove the tenant if it was not finished. Return the tenant's state, or None if it is gone. Raises
    ``ServerError`` and a ``FleetError``.
    """
    worker = Worker(fleet, kinds)
    while _is_unfinished(fleet, place):
        if not worker.work(Event()):
            time.sleep(POLL_EVERY)
    discard_unfinished(fleet, place)
    with fleet.user_db.begin(read_only=True) as session:
        return session.scalar(select(Tenant.state).where(Tenant.id == place.id))


def discard_unfinished(fleet: Fleet, place: TenantPlace) -> None:
    """Remove a tenant in the state ``creating`` that no operation makes. A finished tenant is left alone.

    Raises ``ServerError`` and a ``FleetError``.
    """
    with fleet.user_db.begin() as session:
        unfinished = delete(Tenant).where(Tenant.id == place.id, Tenant.state == TenantState.CREATING)
        if cast("CursorResult[object]", session.execute(unfinished)).rowcount:
            # In the transaction, so that the row stays if the database cannot be removed.
            databases_on(fleet.servers[place.server]).drop(place.database)


def _is_unfinished(fleet: Fleet, place: TenantPlace) -> bool:
    with fleet.user_db.begin(read_only=True) as session:
        return is_worked_on(session, place.id)
