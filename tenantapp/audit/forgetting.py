"""Forget a person: their account goes, and the trail keeps no more of them than an id.

Where an entry names them, ``forgotten:`` and the id take the place of the text. Its salt goes too, and the digest of
what was erased stays, so the chain still verifies; see ``canonical``. It may take long, and be killed: a worker
finishes it, or forgetting the same login again.

What names them, and where, is told in ``named_person``.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, delete, or_, select, update
from sqlalchemy.orm import Session

from tenantapp.audit.canonical import DETAIL, erase, plain
from tenantapp.audit.errors import NotForgotten, NotForgottenYet
from tenantapp.audit.models import TRAIL, Forgetting
from tenantapp.audit.named_person import NamedPerson, named_person
from tenantapp.audit.sealing import trail_held
from tenantapp.audit.verifying import FORGET
from tenantapp.identity.audit import record
from tenantapp.identity.members import keeping_admins, tenants_entered_by
from tenantapp.identity.models import ApiToken, User, UserBase
from tenantapp.identity.users import get_user, set_enabled
from tenantapp.operations.background import DATABASE_ERRORS
from tenantapp.operations.leases import database_time
from tenantapp.operations.models import Operation
from tenantapp.sql.prepared import LoneSelect
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.dbfactory import DBFactory

log = logging.getLogger(__name__)
AT_ONCE: Final = 1000  # rows in one transaction
CLAIM: Final = timedelta(seconds=60)  # after which another process may take a person over


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A person who was forgotten, and in how many entries of the trail they are an id now."""

    user_id: UUID
    entries: int


def forget_person(user_db: DBFactory, login: str) -> Forgotten:
    """Forget the person with this login.

    Their sessions and tokens end at once. Then every entry of the trail is read. At last the account goes with all that
    belongs to it. What tenants have in their own databases is theirs, and stays. Raises ``NotFound``, ``NotForgotten``
    for a service account, and ``NotForgottenYet`` if an operation that has not finished needs the login.
    """
    with user_db.begin() as session:
        person = _begin(session, get_user(session, login))
    return Forgotten(person.id, sum(_forget(user_db, person)))


def leave(session: Session, user_id: UUID) -> None:
    """Let a person be forgotten who asks for it.

    Their sessions and tokens end at once; ``Forgetter`` does the rest.

    Raises ``LastAdmin`` if a tenant would lose its last administrator.
    """
    with keeping_admins(session, tenants_entered_by(user_id)):
        user = session.get_one(User, user_id)
        record(session, "user.leave", detail={"login": user.login})
        _begin(session, user)


class Forgetter:
    """Finishes with the people who are waiting to be forgotten, also with those whom a stopped command has begun with.

    Several may work at once: each claims one person at a time. Who cannot be forgotten is tried again when the others
    have been.
    """

    def __init__(self, user_db: DBFactory) -> None:
        self._user_db = user_db
        self._claimed: UUID | None = None
        self._steps: Iterator[int] = iter(())
        self._renew_at = 0.0
        self._put_off = set[UUID]()
        self._failed = 0

    def work(self) -> bool:
        """Do one step, which reads at most ``AT_ONCE`` rows. Return false if nobody is left.

        Raises ``NotForgotten`` in place of false if some could not be forgotten. The log has each with the reason.
        """
        if self._claimed is None and not self._claim():
            return self._end_round()
        try:
            self._renew()
            if next(self._steps, None) is None:
                self._claimed = None
        except NotForgottenYet as error:
            log.info("%s", error)
            self._release(not_before=CLAIM)
        except Exception as error:
            is_bug = not isinstance(error, DATABASE_ERRORS)
            log.error("The person %s cannot be forgotten: %s", self._claimed, error, exc_info=is_bug)
            self._failed += 1
            self._release()
        return True

    def _claim(self) -> bool:
        waiting = {row.user_id for row in self._user_db.fetch(_WAITING, {"now": utcnow()})} - self._put_off
        if not waiting:
            return False
        with self._user_db.begin() as session:
            free = select(Forgetting).where(*_IS_FREE, Forgetting.user_id.in_(waiting)).order_by(Forgetting.begun_at)
            locked = free.limit(1).with_for_update(skip_locked=True)
            forgetting = session.scalar(locked, {"now": database_time(session)})
            if forgetting is None:
                return False
            user = session.get(User, forgetting.user_id)
            if user is None:
                forgetting.finished_at = utcnow()
            forgetting.claimed_until = database_time(session) + CLAIM
            self._claimed = forgetting.user_id
            self._steps = iter(()) if user is None else _forget(self._user_db, named_person(session, user))
        self._renew_at = monotonic() + CLAIM.total_seconds() / 2
        return True

    def _renew(self) -> None:
        if monotonic() >= self._renew_at:
            with self._user_db.begin() as session:
                self._claim_until(session, database_time(session) + CLAIM)
            self._renew_at = monotonic() + CLAIM.total_seconds() / 2

    def _release(self, not_before: timedelta | None = None) -> None:
        """Put the person off. ``not_before`` is the time in which nobody tries again."""
        if self._claimed is None:
            return
        self._put_off.add(self._claimed)
        with self._user_db.begin() as session:
            self._claim_until(session, None if not_before is None else database_time(session) + not_before)
        self._claimed = None

    def _claim_until(self, session: Session, until: datetime | None) -> None:
        session.execute(update(Forgetting).where(Forgetting.user_id == self._claimed).values(claimed_until=until))

    def _end_round(self) -> bool:
        failed, self._failed = self._failed, 0
        self._put_off.clear()
        if failed:
            raise NotForgotten(f"{failed} could not be forgotten, see the log")
        return False


def _forget(user_db: DBFactory, person: NamedPerson) -> Iterator[int]:
    """Forget a person step by step. Each step yields in how many entries they were erased."""
    _check_operations(user_db, person)
    entries = 0
    for some in _pages(user_db, TRAIL):
        entries += (erased := _erase(user_db, person, [row.id for row in some if person.is_in(row)]))
        yield erased
    for table in UserBase.metadata.sorted_tables:
        if "requested_by" in table.columns:
            for some in _pages(user_db, table):
                _erase_requester(user_db, person, table, some)
                yield 0
    with user_db.begin() as session:
        _finish(session, person, entries)


def _check_operations(user_db: DBFactory, person: NamedPerson) -> None:
    """Raise ``NotForgottenYet`` if the arguments of an operation that has not finished name the person.

    It would fail without them. Nobody can give them to another one: the person is disabled.
    """
    with user_db.begin(read_only=True) as session:
        unfinished = select(_OPERATIONS).where(_OPERATIONS.c.finished_at.is_(None)).order_by(_OPERATIONS.c.id)
        for row in session.execute(unfinished):
            if person.given(row._asdict()):
                raise NotForgottenYet(person.id, row.id)


class _Waiting(NamedTuple):
    user_id: UUID


_OPERATIONS: Final = cast(Table, Operation.__table__)
_IS_FREE: Final = (
    Forgetting.finished_at.is_(None),
    or_(Forgetting.claimed_until.is_(None), Forgetting.claimed_until <= bindparam("now", type_=UtcDateTime)),
)
_WAITING: Final[LoneSelect[_Waiting]] = LoneSelect(select(Forgetting.user_id).where(*_IS_FREE), _Waiting)


def _begin(session: Session, user: User) -> NamedPerson:
    if user.service_tenant_id is not None:
        raise NotForgotten(f"{user.login} is a service account and no person. Remove it")
    set_enabled(session, user.login, False)
    session.execute(delete(ApiToken).where(ApiToken.user_id == user.id))
    if session.get(Forgetting, user.id) is None:
        session.add(Forgetting(user_id=user.id))
    return named_person(session, user)


def _pages(user_db: DBFactory, table: Table) -> Iterator[Any]:
    """Yield the rows of a table, some at a time, each in a transaction of its own."""
    after: UUID | None = None
    while True:
        rows = select(table).order_by(table.c.id).limit(AT_ONCE)
        with user_db.begin(read_only=True) as session:
            some = session.execute(rows if after is None else rows.where(table.c.id > after)).all()
        if not some:
            return
        yield some
        after = some[-1].id


def _erase(user_db: DBFactory, person: NamedPerson, ids: list[UUID]) -> int:
    """Erase the person from these entries. Return how many there are."""
    if ids:
        with user_db.begin() as session:
            # Nobody seals what is being changed.
            trail_held(session)
            for row in session.execute(select(TRAIL).where(TRAIL.c.id.in_(ids))).all():
                if changed := person.changes(row):
                    session.execute(update(TRAIL).where(TRAIL.c.id == row.id).values(**changed, **_seal(row, changed)))
    return len(ids)


def _seal(row: Any, changed: dict[str, Any]) -> dict[str, Any]:
    """Return what becomes of the salt of an entry when these columns change."""
    if row.hash is None:
        return {}
    names = [*changed.keys() & {"actor", "address"}]
    detail = changed.get("detail", row.detail)
    names += [f"{DETAIL}{key}" for key, value in row.detail.items() if detail[key] != value]
    return {"salt": None, "erased": erase(plain(row), row.salt, row.erased, names)}


def _erase_requester(user_db: DBFactory, person: NamedPerson, table: Table, some: Iterable[Any]) -> None:
    """Put the id in place of the login where these rows say who asked for an operation, and for whom."""
    if ids := [row.id for row in some if person.asked_for(row._asdict())]:
        with user_db.begin() as session:
            # A worker that has one of them records what it did meanwhile.
            for row in session.execute(select(table).where(table.c.id.in_(ids)).with_for_update()).all():
                if changed := person.asked_for(row._asdict()):
                    session.execute(update(table).where(table.c.id == row.id).values(**changed))


def _finish(session: Session, person: NamedPerson, entries: int) -> None:
    """Remove the account, unless another process just has.

    Its own rows go with it; invitations, links and mail know only the login or the address. Mail that waits for others
    is theirs, whatever stands in it.
    """
    forgetting = session.scalars(select(Forgetting).where(Forgetting.user_id == person.id).with_for_update()).one()
    if forgetting.finished_at is not None:
        return
    for table in UserBase.metadata.sorted_tables:
        if table is User.__table__:
            continue
        if "mail_address" in table.columns and person.address is not None:
            session.execute(delete(table).where(table.c.mail_address == person.address))
        if "login" in table.columns:
            session.execute(delete(table).where(table.c.login == person.login))
        if "message" in table.columns and person.address is not None:
            session.execute(delete(table).where(table.c.message["recipient"].as_string() == person.address))
    session.execute(delete(User).where(User.id == person.id))
    forgetting.finished_at = utcnow()
    record(session, FORGET, detail={"user": str(person.id), "entries": entries})
