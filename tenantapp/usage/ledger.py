"""Write what the meter of a process has added up to the user database, and remove what is old.

If the user database does not answer, what is counted is kept and written later. What became of a COMMIT may not be
known; then it is not written again, because nobody is to pay twice. A killed process loses what it had not written.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import CursorResult, bindparam, column, delete, func, select, text, tuple_
from sqlalchemy.orm import Session

from tenantapp.identity.models import UserBase
from tenantapp.operations.background import DATABASE_ERRORS
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.errors import OutcomeUnknown
from tenantapp.sql.prepared import LoneSelect
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.sql.upsert import insert_for
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.usage.meter import Meter, TenantHour, Used
from tenantapp.usage.models import TenantUsage

log = logging.getLogger(__name__)
WRITE_EVERY: Final = 5.0  # seconds
AT_ONCE: Final = 1000  # rows that are written in one transaction, and that are removed in one
CANNOT: Final = "What tenants have used is not written for now"
TABLE: Final = UserBase.metadata.tables[TenantUsage.__tablename__]
_GIVEN: Final = (
    func.jsonb_to_recordset(text("CAST(:rows AS jsonb)"))
    .table_valued(*(column(each.name, each.type) for each in TABLE.c))
    .render_derived(name="given", with_types=True)
)
SUMS: Final = ("requests", "microseconds", "database_microseconds", "bytes_sent", "rows_written")


class Ledger:
    """Writes what a meter has added up."""

    def __init__(self, meter: Meter, user_db: DBFactory) -> None:
        self._meter, self._user_db = meter, user_db
        self._told = 0

    def write_last(self) -> None:
        """Write once more, when the process ends. What cannot be written is lost, and the log says so."""
        try:
            self.write()
        except DATABASE_ERRORS as error:
            lost = sum(used.requests for used in self._meter.take().values())
            log.error("What tenants have used in the last %s requests of this process is lost: %s", lost, error)

    def write(self) -> bool:
        """Add what was used since the last time. Return False: there is nothing more.

        Raises what the user database raises. What was not written is the meter's again.
        """
        left = dict(sorted(self._meter.take().items()))
        try:
            # In the order of the key, so that two processes never wait for each other.
            while left:
                part = dict(islice(left.items(), AT_ONCE))
                self._write(part)
                left = dict(islice(left.items(), len(part), None))
        finally:
            if left:
                self._meter.give_back(left)
            self._tell_left_out()
        return False

    def _write(self, used: Mapping[TenantHour, Used]) -> None:
        try:
            with self._user_db.begin() as session:
                add_usage(session, used)
        except OutcomeUnknown as error:
            log.error("It is not known whether the use of %s tenants was written: %s", len(used), error.for_log())

    def _tell_left_out(self) -> None:
        if self._meter.left_out > self._told:
            log.error("%s requests were not counted: too much was waiting to be written.", self._meter.left_out)
            self._told = self._meter.left_out


def add_usage(session: Session, used: Mapping[TenantHour, Used]) -> None:
    """Add to what tenants have used in their hours, by one statement and in one round trip."""
    insert, rows = insert_for(session, TABLE), [_row(*each) for each in used.items()]
    given: Any = rows
    if session.get_bind().dialect.name == "postgresql":
        # psycopg2 would send one statement for each row. This one also has the same text for any number of them.
        insert, given = insert.from_select(list(TABLE.c), select(_GIVEN)), {"rows": json.dumps(rows, default=str)}
    added = {name: TABLE.c[name] + insert.excluded[name] for name in SUMS}
    key = [TABLE.c.tenant_id, TABLE.c.hour]
    session.execute(
        insert.on_conflict_do_update(index_elements=key, set_={**added, "slug": insert.excluded.slug}), given
    )


def _row(key: TenantHour, used: Used) -> dict[str, Any]:
    return {
        "tenant_id": key.tenant_id,
        "hour": key.hour,
        "slug": used.slug,
        "requests": used.requests,
        "microseconds": round(used.seconds * 1e6),
        "database_microseconds": round(used.database_seconds * 1e6),
        "bytes_sent": used.bytes_sent,
        "rows_written": used.rows_written,
    }


class _Found(NamedTuple):
    hour: datetime


_OLD: Final = TenantUsage.hour < bindparam("before", type_=UtcDateTime)
_IS_ANY: Final[LoneSelect[_Found]] = LoneSelect(select(TenantUsage.hour).where(_OLD).limit(1), _Found)


def remove_old_usage(fleet: Fleet) -> None:
    """Delete the hours that are older than ``usage.keep``: a chore of workers. It looks first without a write lock."""
    before = utcnow() - timedelta(days=fleet.settings.usage_keep)
    while fleet.user_db.fetch(_IS_ANY, {"before": before}):
        with fleet.user_db.begin() as session:
            if not _remove(session, before):
                return


def _remove(session: Session, before: datetime) -> int:
    """Delete some old hours, but for those that another worker is just deleting. Return how many."""
    key: Sequence[Any] = (TenantUsage.tenant_id, TenantUsage.hour)
    some = select(*key).where(_OLD).limit(AT_ONCE).with_for_update(skip_locked=True)
    deleted = session.execute(delete(TenantUsage).where(tuple_(*key).in_(some)), {"before": before})
    return cast("CursorResult[object]", deleted).rowcount
