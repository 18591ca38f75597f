"""Keeping a tenant's people out while its database is moved: a time in the tenant's row, which every request reads.

It is moved on while somebody is at work, so that the tenant of one that was killed is served again soon.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Interval, String, Uuid, bindparam, case, false, func, select, true, update
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


class _Postgres:
    """The time by the clock of the user database, see ``operations.leases``, as a part of a statement."""

    NOW = func.clock_timestamp(type_=UtcDateTime)
    UNTIL: Any = NOW + bindparam("wait", type_=Interval)


class _Sqlite:
    NOW = bindparam("now", type_=UtcDateTime)
    UNTIL = bindparam("until", type_=UtcDateTime)


class _Statements:
    """Made once: to put one together takes longer than to execute it."""

    def __init__(self, clock: type[_Postgres] | type[_Sqlite]) -> None:
        this = Tenant.id == bindparam("tenant_id")
        place = (Tenant.id, Tenant.slug, Tenant.name, Tenant.server, Tenant.database, Tenant.revision)
        served = update(Tenant).where(this, Tenant.is_served)
        is_up = Tenant.migrating_until > clock.NOW
        # A fence that is up keeps what it has; another one begins without a copy.
        copied = case((is_up, Tenant.migrating_copied), else_=false())
        self.up: Any = served.values(migrating_until=clock.UNTIL, migrating_copied=copied).returning(*place)
        self.up_copied: Any = served.values(migrating_until=clock.UNTIL, migrating_copied=true()).returning(*place)
        fallen: dict[str, Any] = {"migrating_until": None, "migrating_copied": False}
        self.down: Any = update(Tenant).where(this).values(**fallen)
        self.record: Any = update(Tenant).where(this).values(**fallen, revision=bindparam("reached"))
        # In one statement, for each costs as much as a part of a migration.
        both = update(Tenant).where(Tenant.id.in_([bindparam(name, type_=Uuid) for name in ("tenant_id", "next_id")]))
        self.move: Any = both.where(Tenant.is_served).values(
            migrating_until=case((this, None), else_=clock.UNTIL),
            migrating_copied=case((this, false()), else_=copied),
            revision=case(
                (this, func.coalesce(bindparam("reached", type_=String), Tenant.revision)), else_=Tenant.revision
            ),
        )
        self.move = self.move.returning(*place)
        some = Tenant.id.in_(bindparam("tenant_ids", expanding=True))
        # Not one that has fallen: people were served meanwhile, and a copy is older than what they have written.
        self.hold: Any = update(Tenant).where(some, is_up)
        self.hold = self.hold.values(migrating_until=clock.UNTIL)
        self.place: Any = select(*place).where(this, Tenant.is_served)
        self.is_up: Any = self.place.where(is_up)
        self.is_copied: Any = self.is_up.where(Tenant.migrating_copied)


STATEMENTS: Final = {"postgresql": _Statements(_Postgres), "sqlite": _Statements(_Sqlite)}


def raise_fence(connection: Connection, tenant_id: UUID, *, snapshot: bool = False) -> Fenced | None:
    """Let no request begin from now on. None if there is no such tenant, or it is still being made.

    With ``snapshot`` a copy that is there from now on is the fence's own: an older one has been removed.
    """
    row = _execute(connection, "up_copied" if snapshot else "up", snapshot, tenant_id=tenant_id).one_or_none()
    return None if row is None else Fenced(TenantPlace(*row[:5]), row.revision)


def fenced_since(connection: Connection, tenant_id: UUID) -> Fenced | None:
    """The tenant, if nobody has been served since its fence went up: else None."""
    row = _execute(connection, "is_up", tenant_id=tenant_id).one_or_none()
    return None if row is None else Fenced(TenantPlace(*row[:5]), row.revision)


def has_copy_of_its_own(connection: Connection, tenant_id: UUID) -> bool:
    """Whether the fence is up, and a copy that is there is of a time since it went up."""
    return _execute(connection, "is_copied", tenant_id=tenant_id).one_or_none() is not None


def place_to_fence(connection: Connection, tenant_id: UUID) -> TenantPlace | None:
    """The tenant, if it is one that can be migrated."""
    row = _execute(connection, "place", tenant_id=tenant_id).one_or_none()
    return None if row is None else TenantPlace(*row[:5])


def lower_fence(connection: Connection, tenant_id: UUID) -> None:
    """Serve the tenant again."""
    _execute(connection, "down", tenant_id=tenant_id)


def record_revision(connection: Connection, tenant_id: UUID, revision: str | None) -> None:
    """Serve it again, at another revision."""
    _execute(connection, "record", tenant_id=tenant_id, reached=revision)


def move_fence(connection: Connection, tenant_id: UUID, revision: str | None, next_id: UUID) -> Fenced | None:
    """Serve one tenant again, at another revision if one is given, and let no request to the next one begin."""
    rows = _execute(connection, "move", tenant_id=tenant_id, reached=revision, next_id=next_id).all()
    return next((Fenced(TenantPlace(*row[:5]), row.revision) for row in rows if row.id == next_id), None)


def hold_fences(connection: Connection, tenant_ids: Collection[UUID], *, snapshot: bool = False) -> None:
    """Move the time on where a fence is still up."""
    _execute(connection, "hold", snapshot, tenant_ids=list(tenant_ids))


def _execute(connection: Connection, name: str, snapshot: bool = False, **values: Any) -> Any:
    statement = getattr(STATEMENTS[connection.dialect.name], name)
    wait = SNAPSHOT_FENCE if snapshot else FENCE
    now = utcnow()
    clocks = {"wait": wait, "now": now, "until": now + wait}
    used = {key: clocks[key] for key in _parameters(connection.dialect.name, name) if key in clocks}
    return connection.execute(statement, values | used)


@cache
def _parameters(dialect: str, name: str) -> frozenset[str]:
    return frozenset(getattr(STATEMENTS[dialect], name).compile().params)


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
