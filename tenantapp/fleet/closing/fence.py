"""Keeping a tenant's people out while its database is moved: a time in the tenant's row, which every request reads.

It is moved on while somebody is at work, so that the tenant of one that was killed is served again soon.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Interval, case, false, func, literal, select, true, update
from sqlalchemy.engine import Connection

from tenantapp.identity.models import Tenant
from tenantapp.operations.leases import LEASE, repeated
from tenantapp.settings import Settings
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.user_database import user_database

FENCE: Final = LEASE
# Longer where a copy may have to be put back: that would undo what people have done meanwhile.
SNAPSHOT_FENCE: Final = timedelta(minutes=15)


class Fenced(NamedTuple):
    """The tenant as it was when the fence went up."""

    place: TenantPlace
    revision: str | None


PLACE: Final = (Tenant.id, Tenant.slug, Tenant.name, Tenant.server, Tenant.database, Tenant.revision)
FALLEN: Final[dict[str, Any]] = {"migrating_until": None, "migrating_copied": False}


def raise_fence(connection: Connection, tenant_id: UUID, *, snapshot: bool = False) -> Fenced | None:
    """Let no request begin from now on. None if there is no such tenant, or it is still being made.

    With ``snapshot`` a copy that is there from now on is the fence's own: an older one has been removed.
    """
    # A fence that is up keeps what it has; another one begins without a copy.
    copied = true() if snapshot else case((_is_up(connection), Tenant.migrating_copied), else_=false())
    raised = update(Tenant).where(Tenant.id == tenant_id, Tenant.is_served)
    raised = raised.values(migrating_until=_until(connection, snapshot), migrating_copied=copied)
    return _fenced(connection, raised.returning(*PLACE))


def fenced_since(connection: Connection, tenant_id: UUID) -> Fenced | None:
    """The tenant, if nobody has been served since its fence went up: else None."""
    return _fenced(connection, _served(tenant_id).where(_is_up(connection)))


def has_copy_of_its_own(connection: Connection, tenant_id: UUID) -> bool:
    """Whether the fence is up, and a copy that is there is of a time since it went up."""
    own = _served(tenant_id).where(_is_up(connection), Tenant.migrating_copied)
    return _fenced(connection, own) is not None


def place_to_fence(connection: Connection, tenant_id: UUID) -> TenantPlace | None:
    """The tenant, if it is one that can be migrated."""
    found = _fenced(connection, _served(tenant_id))
    return None if found is None else found.place


def lower_fence(connection: Connection, tenant_id: UUID) -> None:
    """Serve the tenant again."""
    connection.execute(update(Tenant).where(Tenant.id == tenant_id).values(FALLEN))


def record_revision(connection: Connection, tenant_id: UUID, revision: str | None) -> None:
    """Serve it again, at another revision."""
    connection.execute(update(Tenant).where(Tenant.id == tenant_id).values(FALLEN | {"revision": revision}))


def hold_fences(connection: Connection, tenant_ids: Collection[UUID], *, snapshot: bool = False) -> None:
    """Move the time on where a fence is still up.

    Not where it has fallen: people were served meanwhile, and a copy is older than what they have written.
    """
    held = update(Tenant).where(Tenant.id.in_(tenant_ids), _is_up(connection))
    connection.execute(held.values(migrating_until=_until(connection, snapshot)))


def _served(tenant_id: UUID) -> Any:
    return select(*PLACE).where(Tenant.id == tenant_id, Tenant.is_served)


def _fenced(connection: Connection, statement: Any) -> Fenced | None:
    row = connection.execute(statement).one_or_none()
    return None if row is None else Fenced(TenantPlace(*row[:5]), row.revision)


def _is_up(connection: Connection) -> ColumnElement[bool]:
    is_up: ColumnElement[bool] = Tenant.migrating_until > _now(connection)
    return is_up


def _now(connection: Connection) -> Any:
    """The time by the clock of the user database, see ``operations.leases``, as a part of a statement."""
    if connection.dialect.name == "postgresql":
        return func.clock_timestamp(type_=UtcDateTime)
    return literal(utcnow(), UtcDateTime)


def _until(connection: Connection, snapshot: bool) -> Any:
    wait = SNAPSHOT_FENCE if snapshot else FENCE
    if connection.dialect.name == "postgresql":
        return _now(connection) + literal(wait, Interval)
    return literal(utcnow() + wait, UtcDateTime)


def fence_database(settings: Settings) -> DBFactory:
    """The user database, in autocommit.

    PostgreSQL need not wait for its disk: what a crash of it loses is a fence, or a revision that the next run finds
    out again.
    """
    url = settings.user_db_url
    if url.get_backend_name() == "postgresql":
        options = f"{url.query.get('options', '')} -c synchronous_commit=off"
        url = url.update_query_dict({"options": options.strip()})
    return user_database(url, autocommit=True)


@contextmanager
def fence_kept(user_db: DBFactory, tenant_id: UUID, *, snapshot: bool = False) -> Iterator[None]:
    """Move the fence of one tenant on until the block ends; its claim is kept by whoever works on the operation."""

    def keep() -> None:
        with user_db.engine.connect() as connection:
            hold_fences(connection, [tenant_id], snapshot=snapshot)

    with repeated(keep, f"fence of {tenant_id}"):
        yield
