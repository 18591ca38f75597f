"""Record what the ORM does to the rows of tracked models.

The events of a tenant session collect what its transaction has done. The last statement before the commit writes it:
it counts up the ``ChangeCounter`` of the database and inserts the changes. The counter's row stays locked until the
commit is over, so positions are given in the order of the commits, and a reader never meets a later position before an
earlier one. No other lock is taken after it, so it is in no deadlock. A transaction that touches no tracked row pays
nothing.

Ids and times are given before the commit, so they would not do. Nor would PostgreSQL's transaction ids: a dump does not
keep them, and a long transaction in any other database of the server would hold back all readers.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Uuid,
    bindparam,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session, SessionTransaction

from tenantapp.sql.prepared import DATABASE
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.sql.waits import rows_not_counted
from tenantapp.tenancy.access import ACTOR, Actor
from tenantapp.tenancy.known_tables import has_table, writes_table
from tenantapp.tenancy.models import Change, ChangeCounter, TenantBase, TenantWebhook, Tracked
from tenantapp.tenancy.row_ids import row_id_of

log = logging.getLogger(__name__)

Kind = Literal["created", "changed", "deleted"]
PENDING: Final = "tenantapp_changes"  # the key of a session's ``_Pending`` in its info
WATCHED_BY: Final = "tenantapp_watched"  # the key of what is called when the changes are committed
PRUNE_EVERY: Final = 100  # positions
PRUNE_MOST: Final = 200  # rows at once, so that no writer waits long; twice what was written since the last time
# What others see of two changes of one row in the same transaction, if that is not the second; None: nothing.
_COMBINED: Final[dict[tuple[Kind, Kind], Kind | None]] = {
    ("created", "changed"): "created",
    ("created", "deleted"): None,
    ("deleted", "created"): "changed",
}
# Whether somebody wants to be told of changes. It is asked with the counter, so it costs no round trip.
WATCHED: Final = "EXISTS (SELECT 1 FROM tenant_webhooks WHERE active)"
UNWATCHED: Final = "1 = 0"
# One round trip. jsonb_to_recordset takes any number of rows, so the statement's text is always the same.
_POSTGRES: Final = """
    WITH counted AS (
        INSERT INTO tenant_change_counter AS counter (id, position, removed) VALUES (1, :count, 0)
        ON CONFLICT (id) DO UPDATE SET position = counter.position + excluded.position
        RETURNING position
    ), inserted AS (
        INSERT INTO tenant_changes (position, table_name, row_id, kind, version, person_id, login, at)
        SELECT counted.position - :count + given.number, given.table_name, given.row_id, given.kind, given.version,
            CAST(:person_id AS uuid), CAST(:login AS varchar), :at
        FROM counted, jsonb_to_recordset(CAST(:rows AS jsonb))
            AS given (number int, table_name text, row_id uuid, kind text, version int)
    )
    SELECT position, {watched} AS watched FROM counted
    """
_SQLITE: Final = """
    INSERT INTO tenant_change_counter (id, position, removed) VALUES (1, :count, 0)
    ON CONFLICT (id) DO UPDATE SET position = position + excluded.position RETURNING position, {watched} AS watched
    """
POSTGRES: Final = {
    asks: text(_POSTGRES.format(watched=watched)).bindparams(
        bindparam("person_id", type_=Uuid()), bindparam("at", type_=UtcDateTime())
    )
    for asks, watched in ((True, WATCHED), (False, UNWATCHED))
}
SQLITE: Final = {
    asks: text(_SQLITE.format(watched=watched)).columns(position=BigInteger, watched=Boolean)
    for asks, watched in ((True, WATCHED), (False, UNWATCHED))
}


_CHANGES: Final = TenantBase.metadata.tables[Change.__tablename__]
_COUNTER: Final = TenantBase.metadata.tables[ChangeCounter.__tablename__]


class RecordedChange(NamedTuple):
    """A change that is not written yet."""

    table_name: str
    row_id: UUID
    kind: Kind
    version: int | None


class _Pending:
    """The changes of a session's transaction, and how many there were when each savepoint was made."""

    def __init__(self) -> None:
        self.changes: list[RecordedChange] = []
        self.savepoints: dict[SessionTransaction, int] = {}


def record_change(
    session: Session, model: type[TenantBase], row_id: UUID | int, kind: Kind = "changed", version: int | None = None
) -> None:
    """Record the change of a row that a bulk statement has made in this transaction.

    It is written with the commit. The ORM's own changes are recorded already. Without ``DBFactory`` nothing is.
    """
    _pending(session).changes.append(RecordedChange(model.__tablename__, row_id_of(row_id), kind, version))


def listen_on_sessions(sessions: type[Session]) -> None:
    """Record the changes that sessions of this class make."""
    event.listen(sessions, "after_flush", _collect)
    event.listen(sessions, "before_commit", _before_commit)
    event.listen(sessions, "after_transaction_create", _remember_savepoint)
    event.listen(sessions, "after_soft_rollback", _forget)
    event.listen(sessions, "after_commit", _finish)


def _pending(session: Session) -> _Pending:
    pending: _Pending = session.info.setdefault(PENDING, _Pending())
    return pending


def _collect(session: Session, flushing: Any) -> None:
    found = list(_changes(session, flushing))
    if found:
        _pending(session).changes.extend(found)


def _changes(session: Session, flushing: Any) -> Iterator[RecordedChange]:
    for kind, instances in (("created", session.new), ("changed", session.dirty), ("deleted", session.deleted)):
        for instance in instances:
            if not isinstance(instance, Tracked):
                continue
            if kind == "changed" and flushing.is_deleted(inspect(instance)):
                yield _change(instance, "deleted")  # no longer anybody's child, where such rows are deleted
            elif kind != "changed" or session.is_modified(instance):
                yield _change(instance, kind)


def _change(instance: Any, kind: Any) -> RecordedChange:
    mapper = inspect(instance).mapper
    (key,) = mapper.primary_key_from_instance(instance)
    counted = mapper.version_id_col
    version = None if counted is None else getattr(instance, mapper.get_property_by_column(counted).key)
    return RecordedChange(mapper.base_mapper.local_table.name, row_id_of(key), kind, version)


def _remember_savepoint(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        pending = _pending(session)
        pending.savepoints[transaction] = len(pending.changes)


def _forget(session: Session, transaction: SessionTransaction) -> None:
    """Forget what was rolled back: to a savepoint, or all."""
    pending: _Pending | None = session.info.get(PENDING)
    if pending is None:
        return
    if transaction.nested:
        del pending.changes[pending.savepoints.pop(transaction, 0) :]
    elif transaction.parent is None:
        del session.info[PENDING]


def _before_commit(session: Session) -> None:
    if session.in_nested_transaction():
        return  # a savepoint is released
    session.flush()
    pending: _Pending | None = session.info.pop(PENDING, None)
    if pending is not None and pending.changes:
        driver: Any = session.connection().connection.dbapi_connection
        with rows_not_counted(driver):
            _write(session, _combined(pending.changes))


def _finish(session: Session) -> None:
    if session.in_nested_transaction():
        return
    pending: _Pending | None = session.info.pop(PENDING, None)
    if pending is not None and pending.changes:
        log.error("Changes were committed and not recorded: a savepoint was still open at the commit.")
    if WATCHED_BY in session.info:
        session.info.pop(WATCHED_BY)()


def _combined(changes: Sequence[RecordedChange]) -> list[RecordedChange]:
    """Return one change for each row: what other transactions will see of it. They are in the order of the last."""
    combined: dict[tuple[str, UUID], RecordedChange] = {}
    for change in changes:
        before = combined.pop((change.table_name, change.row_id), None)
        kind = change.kind if before is None else _COMBINED.get((before.kind, change.kind), change.kind)
        if kind is not None:
            combined[change.table_name, change.row_id] = change._replace(kind=kind)
    return list(combined.values())


def _write(session: Session, changes: Sequence[RecordedChange]) -> None:
    if not changes or not has_table(session, Change.__tablename__):
        return
    actor: Actor | None = session.info.get(ACTOR)
    at = utcnow()
    by = {"person_id": None, "login": None} if actor is None else {"person_id": actor.id, "login": actor.shown}
    asks = has_table(session, TenantWebhook.__tablename__)
    with writes_table(session, Change.__tablename__), writes_table(session, TenantWebhook.__tablename__):
        position, watched = _insert(session, changes, {**by, "at": at}, asks=asks)
    if watched and session.info[DATABASE].on_watched is not None:
        session.info[WATCHED_BY] = session.info[DATABASE].on_watched
    if position // PRUNE_EVERY != (position - len(changes)) // PRUNE_EVERY:
        _prune(session, at - session.info[DATABASE].changes_kept)


def _insert(
    session: Session, changes: Sequence[RecordedChange], common: dict[str, Any], *, asks: bool
) -> tuple[int, bool]:
    """Insert the changes. Return the position of the last one, and whether somebody wants to be told of changes."""
    if session.get_bind().dialect.name == "postgresql":
        rows = [
            {"number": number, "table_name": table, "row_id": row_id, "kind": kind, "version": version}
            for number, (table, row_id, kind, version) in enumerate(changes, 1)
        ]
        values = {**common, "count": len(rows), "rows": json.dumps(rows, default=str)}
        position, watched = session.execute(POSTGRES[asks], values).one()
        return position, watched
    position, watched = session.execute(SQLITE[asks], {"count": len(changes)}).one()
    first = position - len(changes) + 1
    rows = [{**change._asdict(), **common, "position": first + number} for number, change in enumerate(changes)]
    session.execute(insert(_CHANGES), rows)
    return position, watched


def _prune(session: Session, before: datetime) -> None:
    """Delete some of the oldest changes if they are from before this time, and remember how far they are gone.

    The counter is locked, so only one transaction does it at a time. Whoever writes pays for it, a little and rarely:
    a sweep over the fleet would open each of its databases, and most of those are idle.
    """
    oldest = select(Change.position, Change.at).order_by(Change.position).limit(PRUNE_MOST).subquery()
    last = session.scalar(select(func.max(oldest.c.position)).where(oldest.c.at < before))
    if last is not None:
        session.execute(delete(_CHANGES).where(Change.position <= last))
        session.execute(update(_COUNTER).values(removed=last))
