"""The work of ``fleet rebalance``."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_rows
from tenantapp.cli.progress import progress_bar
from tenantapp.databases.connections.maintenance_engines import maintenance_kept
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.copying.rebalancing import Candidate, PlannedMove, plan_moves
from tenantapp.fleet.copying.requests import request_move
from tenantapp.identity.models import Tenant
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.queue import is_worked_on, local_requester
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.servers import Server, SqliteServer
from tenantapp.usage.reading import Sort, list_tenants_by_use, period_of

LOAD_OF: Final = timedelta(days=7)
EVERYBODY: Final = 10_000_000  # tenants


def rebalance(
    installation: Installation,
    *,
    by: str,
    drained: str | None,
    limit: int | None,
    go: bool,
    confirmed: bool,
    as_json: bool,
) -> None:
    """Print which tenants to move, and queue the moves if that is wanted.

    Raises ``ServerError``, ``CopyRefused``, and what asking servers for sizes raises.
    """
    moves = _plan(installation, by, drained)[:limit]
    show_rows((move._asdict() for move in moves), PlannedMove._fields, as_json=as_json)
    if not moves or not go:
        return
    size = sum(move.size for move in moves)
    if not confirmed:
        click.confirm(f"Queue {len(moves)} moves of {size / 2**20:.0f} MiB in all?", abort=True, err=True)
    left = [move.slug for move in moves if not _queue(installation, move)]
    if not as_json:
        click.echo(f"{len(moves) - len(left)} moves are queued. A worker makes them.")
    if left:
        raise CommandFailed(f"{len(left)} tenants have work of their own or are gone, and were left: {', '.join(left)}")


def _plan(installation: Installation, by: str, drained: str | None) -> list[PlannedMove]:
    fleet = installation.fleet
    weights = fleet.settings.weights or dict.fromkeys(fleet.servers, 1.0)
    weights = {name: weights.get(name, 0) for name in fleet.servers}
    moves = list[PlannedMove]()
    if drained is not None:
        fleet.servers[drained]  # raises if there is none
    # A move to the other engine is another matter: types and texts may not go there.
    for group in ({name for name in weights if _is_sqlite(fleet.servers[name]) == sqlite} for sqlite in (False, True)):
        if group if drained is None else drained in group:
            given = {name: weights[name] for name in group}
            moves += plan_moves(_candidates(installation, by, group), given, drained)
    return moves


def _is_sqlite(server: Server) -> bool:
    return isinstance(server, SqliteServer)


def _candidates(installation: Installation, by: str, servers: set[str]) -> list[Candidate]:
    fleet = installation.fleet
    with installation.user_session(read_only=True) as session:
        served = select(Tenant.id, Tenant.slug, Tenant.server, Tenant.database).where(Tenant.is_served)
        tenants = session.execute(served.where(Tenant.server.in_(servers)).order_by(Tenant.slug)).all()
        loads = _loads(session) if by == "load" else {}
    found = list[Candidate]()
    with maintenance_kept(), progress_bar("sizes") as report:
        for number, (tenant_id, slug, server, database) in enumerate(tenants):
            size = databases_on(fleet.servers[server]).size(database) or 0
            amount = {"tenants": 1, "bytes": size, "load": loads.get(tenant_id, 0)}[by]
            found.append(Candidate(amount, size, slug, server))
            report(number / len(tenants), slug)
    return found


def _loads(session: Session) -> Mapping[UUID, int]:
    """Return the time that each tenant's database took for requests in the last days."""
    period = period_of(utcnow() - LOAD_OF)
    used = list_tenants_by_use(session, period, sort=Sort.DATABASE_MILLISECONDS, limit=EVERYBODY)
    return {total.tenant_id: total.sums.database_microseconds for total in used}


def _queue(installation: Installation, move: PlannedMove) -> bool:
    """Queue a move. Return False if somebody works on the tenant already, or it has changed."""
    with installation.user_session() as session:
        tenant = session.scalar(select(Tenant).where(Tenant.slug == move.slug))
        if tenant is None or tenant.server != move.server or is_worked_on(session, tenant.id):
            return False
        try:
            request_move(session, installation.fleet, move.slug, move.to, requested_by=local_requester())
        except OperationRefused:
            return False
        return True
