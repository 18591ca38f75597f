"""Warm databases: they are ready before their tenants exist.

Each carries the id of its future tenant, so making the tenant changes only the user database.
"""

import zlib
from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from tenantapp.databases.models import WarmDatabase
from tenantapp.databases.servers.templates import current_template, installation_mark
from tenantapp.fleet.closing.discarding import request_discard
from tenantapp.fleet.creating.create import STEPS
from tenantapp.identity.tenants import database_name
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Kind
from tenantapp.operations.leases import database_time
from tenantapp.operations.models import UNFINISHED, Operation, OperationState
from tenantapp.operations.queue import local_requester, request_operation
from tenantapp.sql.ids import uuid7

LOCK: Final = zlib.crc32(b"tenantapp warm databases")
PAUSE: Final = timedelta(minutes=5)  # after a warm database could not be made


def keep_warm(fleet: Fleet) -> None:
    """Request the warm databases that are missing, and the removal of those that are too many or out of date.

    Raises ``HistoryError`` and what the user database raises.
    """
    with fleet.user_db.begin(read_only=True) as session:
        if not any(_plan(session, fleet)):
            return
    with fleet.user_db.begin() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.scalar(select(func.pg_advisory_xact_lock(LOCK)))
        missing, unwanted = _plan(session, fleet)
        mark = installation_mark(session)
        for server in missing.elements():
            arguments = {"tenant_id": str(uuid7()), "server": server, "mark": mark}
            request_operation(session, WARM, None, arguments, local_requester())
        for warm in unwanted:
            # A tenant may have taken it in the meantime.
            ours = delete(WarmDatabase).where(WarmDatabase.tenant_id == warm.tenant_id)
            if session.scalar(ours.returning(WarmDatabase.tenant_id)) is not None:
                request_discard(session, warm.server, warm.database)


def _plan(session: Session, fleet: Fleet) -> tuple[Counter[str], list[WarmDatabase]]:
    """Return how many are missing on each server, and those to remove."""
    present = list(session.scalars(select(WarmDatabase).order_by(WarmDatabase.tenant_id)))
    wanted = fleet.settings.fleet_warm_databases
    if not wanted and not present:
        return Counter(), []
    mark, unwanted, missing = installation_mark(session), list[WarmDatabase](), Counter[str]()
    coming, on_server = _coming(session), defaultdict[str, list[WarmDatabase]](list)
    for warm in present:
        on_server[warm.server].append(warm)
    for name, server in fleet.servers.items():
        template, here = current_template(fleet, mark, server), on_server[name]
        unwanted += [warm for warm in here if template.is_old(warm.template)]
        good = [warm for warm in here if warm.template == template.name]
        unwanted += good[wanted:]
        missing[name] = max(0, wanted - len(good) - coming[name])
    return +missing, unwanted


def _coming(session: Session) -> Counter[str]:
    """Count those that are being made, by server. Recent failures count too: a failure is not retried at once."""
    arguments = session.scalars(select(Operation.arguments).where(Operation.kind == WARM.name, _is_recent(session)))
    return Counter(each["server"] for each in arguments)


def _is_recent(session: Session) -> Any:
    failed = (Operation.state == OperationState.FAILED) & (Operation.finished_at > database_time(session) - PAUSE)
    return Operation.state.in_(UNFINISHED) | failed


def _add(session: Session, operation: Operation) -> None:
    tenant_id = UUID(operation.arguments["tenant_id"])
    session.add(
        WarmDatabase(
            tenant_id=tenant_id,
            server=operation.arguments["server"],
            database=database_name(tenant_id),
            template=operation.result["template"],
            revision=operation.result["revision"],
        )
    )


WARM: Final = Kind("warm", STEPS, undoes=True, complete=_add)
