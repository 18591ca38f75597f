"""Write how long statements take to the user database, by the hour.

As in ``ledger``: what cannot be written is kept, and what may have been written is not written again.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from heapq import nlargest
from time import monotonic
from typing import Any, Final

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from tenantapp.identity.models import UserBase
from tenantapp.sql.errors import OutcomeUnknown
from tenantapp.sql.statement_text import OTHER
from tenantapp.sql.times import utcnow
from tenantapp.sql.upsert import insert_for
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.usage.models import StatementUsage
from tenantapp.usage.statement_meter import StatementMeter, TimedStatement, Times

log = logging.getLogger(__name__)
EVERY: Final = 30.0  # seconds between two writes
TOP: Final = 50  # statements that a write tells apart, those that took longest
MOST_ROWS: Final = 1000  # of an hour, after which no further statement gets one
KEPT: Final = timedelta(days=7)
CANNOT: Final = "The times of statements are not written for now"
TABLE: Final = UserBase.metadata.tables[StatementUsage.__tablename__]
KEY: Final = (TABLE.c.hour, TABLE.c.database, TABLE.c.digest)


class StatementLedger:
    """Writes what a meter has added up."""

    def __init__(self, meter: StatementMeter, user_db: DBFactory) -> None:
        self._meter, self._user_db = meter, user_db
        self._hour, self._written = _this_hour(), monotonic()

    def write_sometimes(self) -> bool:
        """Write if it is time for it. Return False: there is nothing more. Raises what ``write`` raises."""
        if monotonic() - self._written >= EVERY:
            self.write()
        return False

    def write(self) -> None:
        """Add what was measured since the last time to the hour in which that was.

        Raises what the user database raises. What was not written is the meter's again.
        """
        taken = self._meter.take()
        hour, self._hour, self._written = self._hour, _this_hour(), monotonic()
        if not taken:
            return
        try:
            with self._user_db.begin() as session:
                add_statements(session, hour, taken)
        except OutcomeUnknown as error:
            log.error("It is not known whether the times of statements were written: %s", error.for_log())
        except BaseException:
            self._meter.give_back(taken)
            raise


def add_statements(session: Session, hour: datetime, taken: Mapping[TimedStatement, Times]) -> None:
    """Add to the times of an hour, by one statement. Those that took least count together, as ``OTHER``."""
    of_hour = select(TABLE.c.database, TABLE.c.digest).where(TABLE.c.hour == hour)
    known = {(row.database, row.digest) for row in session.execute(of_hour)}
    top = set(nlargest(TOP, taken, key=lambda statement: taken[statement].seconds))
    rows: dict[TimedStatement, Times] = {}
    for statement, times in taken.items():
        has_row = len(known) < MOST_ROWS or (statement.database, _digest(statement)) in known
        kept = statement if statement in top and has_row else TimedStatement(statement.database, OTHER)
        rows.setdefault(kept, Times()).add(times)
    _add(session, [_row(hour, *each) for each in rows.items()])


def _add(session: Session, rows: list[dict[str, Any]]) -> None:
    # In the order of the key, so that two processes never wait for each other.
    rows.sort(key=lambda row: (row["database"], row["digest"]))
    insert = insert_for(session, TABLE)
    changed = {name: TABLE.c[name] + insert.excluded[name] for name in ("calls", "microseconds")}
    worst = insert.excluded.worst_microseconds
    changed["worst_microseconds"] = case((worst > TABLE.c.worst_microseconds, worst), else_=TABLE.c.worst_microseconds)
    session.execute(insert.values(rows).on_conflict_do_update(index_elements=list(KEY), set_=changed))


def _row(hour: datetime, statement: TimedStatement, times: Times) -> dict[str, Any]:
    return {
        "hour": hour,
        "database": statement.database,
        "digest": _digest(statement),
        "text": statement.text,
        "calls": times.calls,
        "microseconds": round(times.seconds * 1e6),
        "worst_microseconds": round(times.worst * 1e6),
    }


def _digest(statement: TimedStatement) -> str:
    return sha256(statement.text.encode(errors="replace")).hexdigest()[:32]


def _this_hour() -> datetime:
    return utcnow().replace(minute=0, second=0, microsecond=0)
