"""The fence keeps a tenant's people out while its database is migrated or moved.

It is a time in the tenant's row, which every request reads. The process that does the work extends the fence. If the
process dies, the time passes and the tenant is served again.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Interval, case, exists, false, func, literal, or_, select, true, update
from sqlalchemy.engine import Connection

from tenantapp.identity.epochs import new_epoch
from tenantapp.identity.models import Tenant
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.leases import LEASE, repeated
from tenantapp.operations.models import ACTIVE, Operation
from tenantapp.settings import Settings
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.user_database import user_database

FENCE: Final = LEASE
# Longer if a copy may have to be put back: that would undo what people have written after the fence fell.
SNAPSHOT_FENCE: Final = timedelta(minutes=15)


class Fenced(NamedTuple):
    """The tenant's place and revision when the fence went up."""

    place: TenantPlace
    revision: str | None


PLACE: Final = (Tenant.id, Tenant.slug, Tenant.name, Tenant.server, Tenant.database, Tenant.revision)
FALLEN: Final[dict[str, Any]] = {"migrating_until": None, "migrating_copied": False}


@checkpoint("fence.raise")
def raise_fence(
    connection: Connection, tenant_id: UUID, *, snapshot: bool = False, changes: bool = False
) -> Fenced | None:
    """Let no new request begin. Return None if there is no such tenant, or if it is still being made or is deleted.

    ``snapshot`` says that the caller has removed older copies, so a copy that exists from now on was made behind this
    fence. ``changes`` says that the content of the database will change behind the fence: the tenant gets a new epoch
    now, because the fence of a killed process falls by itself.
    """
    # If a fence is up already, its mark about the copy stays. A new fence begins without a copy.
    copied = true() if snapshot else case((_is_up(connection), Tenant.migrating_copied), else_=false())
    raised = update(Tenant).where(Tenant.id == tenant_id, Tenant.is_served)
    raised = raised.values(migrating_until=_until(connection, snapshot), migrating_copied=copied)
    if changes:
        raised = raised.values(epoch=new_epoch())
    return _fenced(connection, raised.returning(*PLACE))


def fenced_since(connection: Connection, tenant_id: UUID) -> Fenced | None:
    """Return the tenant if its fence is still up, so that nobody was served since it went up. Otherwise return None."""
    return _fenced(connection, _served(tenant_id).where(_is_up(connection)))


def has_copy_of_its_own(connection: Connection, tenant_id: UUID) -> bool:
    """Return whether the fence is up, and an existing copy was made behind it."""
    own = _served(tenant_id).where(_is_up(connection), Tenant.migrating_copied)
    return _fenced(connection, own) is not None


def place_to_fence(connection: Connection, tenant_id: UUID) -> TenantPlace | None:
    """Return the tenant's place, or None if the tenant cannot be migrated."""
    found = _fenced(connection, _served(tenant_id))
    return None if found is None else found.place


def lower_fence(connection: Connection, tenant_id: UUID, *, changed: bool = False) -> None:
    """Serve the tenant again. If the content may have ``changed`` behind the fence, the tenant gets a new epoch."""
    values = FALLEN | ({"epoch": new_epoch()} if changed else {})
    connection.execute(update(Tenant).where(Tenant.id == tenant_id).values(values))


def record_revision(connection: Connection, tenant_id: UUID, revision: str | None) -> None:
    """Record the tenant's new revision, give it a new epoch, and serve the tenant again."""
    values = FALLEN | {"revision": revision, "epoch": new_epoch()}
    connection.execute(update(Tenant).where(Tenant.id == tenant_id).values(values))


def hold_fences(connection: Connection, tenant_ids: Collection[UUID], *, snapshot: bool = False) -> None:
    """Extend the fences that are still up.

    A fence that has fallen stays down: people were served meanwhile, and a copy would lack what they have written.
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
    """Return the time by the user database's clock as an SQL expression, see ``operations.leases``."""
    if connection.dialect.name == "postgresql":
        return func.clock_timestamp(type_=UtcDateTime)
    return literal(utcnow(), UtcDateTime)


def _until(connection: Connection, snapshot: bool) -> Any:
    wait = SNAPSHOT_FENCE if snapshot else FENCE
    if connection.dialect.name == "postgresql":
        return _now(connection) + literal(wait, Interval)
    return literal(utcnow() + wait, UtcDateTime)


@contextmanager
def fenced_for_a_copy(user_db: DBFactory, tenant_id: UUID) -> Iterator[Callable[[], bool]]:
    """Keep a tenant's people out until the block ends, unless an operation works on the tenant.

    Yield a function that extends the fence, and returns whether it has been up all the time and is ours: otherwise
    people may be served. It is extended by itself too, but the user database may fail for so long that it falls. The
    content does not change, so the epoch stays. If somebody else raises the fence meanwhile, it is theirs, and stays
    when the block ends. If the process dies, the fence falls by itself.
    """
    with user_db.begin() as session:
        up = _raise_if_free(session.connection(), tenant_id)
    if up is None:
        yield lambda: False
        return
    one_at_a_time = Lock()

    def hold() -> bool:
        nonlocal up
        with one_at_a_time:
            with user_db.begin() as session:
                connection = session.connection()
                held = update(Tenant).where(Tenant.id == tenant_id, Tenant.migrating_until == up, _is_up(connection))
                held = held.values(migrating_until=_until(connection, False))
                until = session.scalar(held.returning(Tenant.migrating_until))
            up = until or up
        return until is not None

    try:
        with repeated(hold, f"fence of {tenant_id}"):
            yield hold
    finally:
        with user_db.begin() as session:
            ours = update(Tenant).where(Tenant.id == tenant_id, Tenant.migrating_until == up)
            session.execute(ours.values(migrating_until=None))


@checkpoint("fence.raise_for_a_copy")
def _raise_if_free(connection: Connection, tenant_id: UUID) -> datetime | None:
    """Raise the fence, and return until when. Return None if it is up, or if an operation works on the tenant."""
    is_worked_on = exists().where(Operation.tenant_id == tenant_id, Operation.state.in_(ACTIVE))
    is_down = or_(Tenant.migrating_until.is_(None), ~_is_up(connection))
    free = update(Tenant).where(Tenant.id == tenant_id, Tenant.is_served, is_down, ~is_worked_on)
    raised = free.values(migrating_until=_until(connection, False), migrating_copied=False)
    until: datetime | None = connection.scalar(raised.returning(Tenant.migrating_until))
    return until


def fence_database(settings: Settings) -> DBFactory:
    """Return the user database, in autocommit.

    On PostgreSQL its commits do not wait for the disk. A crash of the server can lose only a fence, or a revision that
    the next run finds out again.
    """
    url = settings.user_db_url
    if url.get_backend_name() == "postgresql":
        options = f"{url.query.get('options', '')} -c synchronous_commit=off"
        url = url.update_query_dict({"options": options.strip()})
    return user_database(url, autocommit=True)


@contextmanager
def fence_kept(user_db: DBFactory, tenant_id: UUID, *, snapshot: bool = False) -> Iterator[None]:
    """Extend the fence of one tenant until the block ends. The operation's lease is renewed elsewhere."""

    def keep() -> None:
        with user_db.engine.connect() as connection:
            hold_fences(connection, [tenant_id], snapshot=snapshot)

    with repeated(keep, f"fence of {tenant_id}"):
        yield
