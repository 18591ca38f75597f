"""Decide whether the tenant session of a request is on the tenant's server or on a replica, and tell positions.

A safe request reads a replica if the client has sent back a position that the replica has replayed, and the replica is
not too far behind. In all other cases it reads the server. A browser keeps positions in a cookie; a program with an API
token in the header ``X-Position``, if it wants to. The access is read from the user database in any case.

A read that fails on a replica is not answered: ``pyramid_retry`` has the request carried out again, on the server.
"""

import logging
import re
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

from pyramid.response import Response
from sqlalchemy.orm import Session

from tenantapp.sql.errors import DatabaseUnavailable, SqlError
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.positions import KeptPositions, Positions
from tenantapp.tenancy.replicas import Replica, ServerReplicas
from tenantapp.tenancy.replication import Unasked, present_position

if TYPE_CHECKING:
    from tenantapp.tenancy.request import TenantRequest

log = logging.getLogger(__name__)

HEADER: Final = "X-Position"
UNKNOWN: Final = "unknown"
"""What the header has if the position is not known: the next read is one of the server."""
PLAIN_COOKIE: Final = "tenantapp-position"
COOKIE_VALUE: Final = "[A-Za-z0-9_.-]{0,512}"


def database_of(request: "TenantRequest", server: DBFactory, *, only_reads: bool) -> DBFactory:
    """Return the database that the tenant session of a request is on. ``server`` is that of the tenant's server.

    If the request may change something, or reads the server because the client has no position, the answer tells one.
    """
    place = request.access.require_tenant()
    replicas: ServerReplicas | None = request.registry.tenant_dbs.replicas.get(place.server)
    if replicas is None:
        return server
    if not only_reads:
        _tell_with_answer(request, place, server)
        return server
    replica = _replica_of(request, place, replicas, server)
    replicas.count(by_replica=replica is not None)
    return replica or server


def _replica_of(
    request: "TenantRequest", place: TenantPlace, replicas: ServerReplicas, server: DBFactory
) -> DBFactory | None:
    """Return the database on a replica that the request may read, or None."""
    given = _given(request, place.id)
    if request.reads_server or not given:
        _tell_with_answer(request, place, server)
        return None
    # What is read here would be kept for others, who may have seen newer rows.
    if "tenant_cache" in request.__dict__ or not _can_be_tried_again(request):
        return None
    for replica in replicas.order_of(place.id):
        if replica.is_avoided(place.id):
            continue
        database: DBFactory = request.registry.tenant_dbs.on_replica(place, replica)
        try:
            replica.keep_up(server, database)
            if replica.log is None or not replica.is_near():
                continue
            return database if _may_read(request, place, replica, database, given, server) else None
        except SqlError as error:
            replica.avoid(place.id)
            reason = error.for_log() if isinstance(error, DatabaseUnavailable) else str(error)
            log.info("Tenant %s does not read the replica %s now: %s", place.slug, replica.address, reason)
    return None


def _may_read(
    request: "TenantRequest",
    place: TenantPlace,
    replica: Replica,
    database: DBFactory,
    given: list[str],
    server: DBFactory,
) -> bool:
    """Return whether the replica has all that the client has seen or done, by the positions that it sent."""
    positions: Positions = request.registry.positions
    where = replica.log
    lsn = None if where is None else positions.newest(given, where, request.access.person.id, place)
    if lsn is None:
        _tell_with_answer(request, place, server)
        return False
    return replica.has_replayed(lsn, database)


def _can_be_tried_again(request: "TenantRequest") -> bool:
    attempts: int = request.environ.get("retry.attempts", 1)
    done: int = request.environ.get("retry.attempt", 0)
    return attempts - done > 1


def _given(request: "TenantRequest", tenant_id: UUID) -> list[str]:
    """Return the positions that the client has sent for this tenant.

    A page may send the header too. Its cookie has the position of the answer that came last, and if it has sent several
    changes at once, that may be the position of the earliest.
    """
    sent = [text.strip() for text in request.headers.get(HEADER, "").split(",") if text.strip()]
    return sent if request.access.api_token_id is not None else [*KeptPositions(_cookie(request)).of(tenant_id), *sent]


def _tell_with_answer(request: "TenantRequest", place: TenantPlace, server: DBFactory) -> None:
    """Let the answer tell a position. A program that has sent no header does not want one, and pays nothing."""
    if request.access.api_token_id is None or HEADER in request.headers:
        request.add_response_callback(partial(_tell, place, server))


def _tell(place: TenantPlace, server: DBFactory, request: "TenantRequest", response: Response) -> None:
    """Tell the position behind all that is committed now, when the transaction of the request is over.

    A session that only reads still has its connection. The tenant's quota may be one, so it is returned first.
    """
    position = None if response.status_int == 503 else _position(request, place, server)
    if request.access.api_token_id is not None:
        response.headers[HEADER] = position or UNKNOWN
        return
    value = KeptPositions(_cookie(request)).with_position(place.id, position)
    secure = "; Secure" if request.scheme == "https" else ""
    ends = "" if value else "; Max-Age=0"
    cookie = f"{_cookie_name(request)}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{ends}"
    response.headerlist.append(("Set-Cookie", cookie))


def _position(request: "TenantRequest", place: TenantPlace, server: DBFactory) -> str | None:
    positions: Positions = request.registry.positions
    session: Session | None = request.__dict__.get("tenant_session")
    try:
        if session is not None:
            session.rollback()
        return positions.told(present_position(server), request.access.person.id, place)
    except (SqlError, Unasked) as error:
        log.info("Request %s is told no position: %s", request.request_id, error)
        return None


def _cookie(request: "TenantRequest") -> str:
    pattern = rf"(?:^|;)\s*{_cookie_name(request)}=({COOKIE_VALUE})\s*(?:;|$)"
    found = re.search(pattern, request.environ.get("HTTP_COOKIE", ""))
    return found[1] if found else ""


def _cookie_name(request: "TenantRequest") -> str:
    return f"__Host-{PLAIN_COOKIE}" if request.scheme == "https" else PLAIN_COOKIE
