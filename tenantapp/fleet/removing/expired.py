"""Delete what has expired in the user database. All of it is refused anyway, or not shown any more."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import CursorResult, bindparam, delete, exists, inspect, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from tenantapp.credentials import devices
from tenantapp.credentials.models import AttemptCount, KnownDevice
from tenantapp.identity.models import Invitation, OneTimeLink, SignInChallenge
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.operations import reports
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.models import Report
from tenantapp.sql.prepared import LoneSelect
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.usage import statement_ledger
from tenantapp.usage.models import StatementUsage

AT_ONCE: Final = timedelta(0)
# Rows by the time after which they are deleted, and how long they are kept after it.
EXPIRING: Final[Mapping[InstrumentedAttribute[datetime], timedelta]] = {
    OneTimeLink.expires_at: AT_ONCE,
    OutgoingMail.expires_at: AT_ONCE,
    Invitation.expires_at: AT_ONCE,
    SignInChallenge.expires_at: AT_ONCE,
    AttemptCount.expires_at: AT_ONCE,
    KnownDevice.last_used_at: devices.LIFETIME,
    StatementUsage.hour: statement_ledger.KEPT,
    Report.seen_at: reports.KEPT,
}


class _Found(NamedTuple):
    is_any: bool


def _until(at: InstrumentedAttribute[datetime]) -> str:
    """Return the name of the parameter up to which a time is over."""
    return f"{at.class_.__tablename__}_until"


_IS_ANY: Final[LoneSelect[_Found]] = LoneSelect(
    select(or_(*(exists().where(at <= bindparam(_until(at), type_=UtcDateTime)) for at in EXPIRING)).label("is_any")),
    _Found,
)


def remove_expired(fleet: Fleet) -> None:
    """Delete what has expired: a chore of workers.

    It looks first without the write lock, of which SQLite has only one.
    """
    now = utcnow()
    until: dict[str, Any] = {_until(at): now - kept for at, kept in EXPIRING.items()}
    if fleet.user_db.fetch(_IS_ANY, until)[0].is_any:
        with fleet.user_db.begin() as session:
            sweep_expired(session)


def sweep_expired(session: Session) -> dict[Any, int]:
    """Delete what has expired. Return how many rows of each model.

    What somebody is just using is left for the next time. So this never waits while it holds rows that others wait for.
    """
    now, swept = utcnow(), dict[Any, int]()
    for at, kept in EXPIRING.items():
        key = inspect(at.class_).primary_key
        free = select(*key).where(at <= now - kept).with_for_update(skip_locked=True)
        deleted = session.execute(delete(at.class_).where(tuple_(*key).in_(free)))
        swept[at.class_] = cast("CursorResult[object]", deleted).rowcount
    return swept
