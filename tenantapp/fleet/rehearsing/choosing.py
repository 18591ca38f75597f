"""Choose the tenants on which a migration is rehearsed: the largest, and others at random."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.migrating.orders import MigrationOrder
from tenantapp.fleet.migrating.rehearsals import Choice
from tenantapp.identity.models import Tenant
from tenantapp.operations.fleet import Fleet

BY_ID: Final = 1000  # tenants that a statement names at most


@dataclass(frozen=True, slots=True)
class Candidate:
    """The order of a tenant, the size of its database in bytes, and why it was chosen."""

    order: MigrationOrder
    size: int | None
    choice: Choice


def choose(fleet: Fleet, orders: Sequence[MigrationOrder], number: int) -> list[Candidate]:
    """Return this many of the orders: one half the largest tenants, the other half at random. All if there are fewer.

    Branches are left out. Each server is asked for the sizes once. Raises ``ServerError``, and what ``sizes`` raises.
    """
    with fleet.user_db.begin(read_only=True) as session:
        places = {tenant_id: (server, database) for tenant_id, server, database in _places(session, orders)}
    sizes = _sizes(fleet, places)
    known = [order for order in orders if order.tenant_id in places]
    known.sort(key=lambda order: (-sizes.get(order.tenant_id, 0), order.slug))
    half = (number + 1) // 2
    rest = random.sample(known[half:], min(number - half, len(known[half:])))
    chosen = [(order, Choice.LARGEST) for order in known[:half]] + [(order, Choice.RANDOM) for order in rest]
    return [Candidate(order, sizes.get(order.tenant_id), choice) for order, choice in chosen]


def _places(session: Session, orders: Sequence[MigrationOrder]) -> Iterator[tuple[UUID, str, str]]:
    originals = select(Tenant.id, Tenant.server, Tenant.database).where(Tenant.is_served, Tenant.expires_at.is_(None))
    for start in range(0, len(orders), BY_ID):
        ids = [order.tenant_id for order in orders[start : start + BY_ID]]
        yield from session.execute(originals.where(Tenant.id.in_(ids)))


def _sizes(fleet: Fleet, places: dict[UUID, tuple[str, str]]) -> dict[UUID, int]:
    databases: defaultdict[str, dict[str, UUID]] = defaultdict(dict)
    for tenant_id, (server, database) in places.items():
        databases[server][database] = tenant_id
    return {
        ids[name]: size
        for server, ids in databases.items()
        for name, size in databases_on(fleet.servers[server]).sizes(list(ids)).items()
    }
