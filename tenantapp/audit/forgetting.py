"""Forget a person: their account goes, and the trail keeps no more of them than an id.

Where an entry names them, ``forgotten:`` and the id take the place of the text. Its salt goes too, and the digest of
what was erased stays, so the chain still verifies; see ``canonical``. It may take long, and be killed: a worker
finishes it, or forgetting the same login again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Table, delete, select, update
from sqlalchemy.orm import Session

from tenantapp.audit.canonical import DETAIL, erase, plain
from tenantapp.audit.errors import NotForgotten
from tenantapp.audit.models import TRAIL, Forgetting
from tenantapp.audit.sealing import trail_held
from tenantapp.audit.verifying import FORGET, FORGOTTEN
from tenantapp.identity.audit import record
from tenantapp.identity.members import keeping_admins, tenants_entered_by
from tenantapp.identity.models import ApiToken, User, UserBase
from tenantapp.identity.users import get_user, set_enabled
from tenantapp.sql.prepared import LoneSelect
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory

AT_ONCE: Final = 1000  # rows in one transaction
# What stands under these keys is never a person, also if somebody is called like it.
NOT_PEOPLE: Final = frozenset({"role", "roles", "permission", "permissions", "group", "kind", "slug"})


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A person who was forgotten, and in how many entries of the trail they are an id now."""

    user_id: UUID
    entries: int


def forget_person(user_db: DBFactory, login: str) -> Forgotten:
    """Forget the person with this login.

    Their sessions and tokens end at once. Then every entry of the trail is read. At last the account goes with all that
    belongs to it. What tenants have in their own databases is theirs, and stays. Raises ``NotFound``, and
    ``NotForgotten`` for a service account.
    """
    with user_db.begin() as session:
        person = _begin(session, get_user(session, login))
    return _forget(user_db, person)


def leave(session: Session, user_id: UUID) -> None:
    """Let a person be forgotten who asks for it. Their sessions and tokens end at once; ``forget_next`` does the rest.

    Raises ``LastAdmin`` if a tenant would lose its last administrator.
    """
    with keeping_admins(session, tenants_entered_by(user_id)):
        user = session.get_one(User, user_id)
        record(session, "user.leave", detail={"login": user.login})
        _begin(session, user)


def forget_next(user_db: DBFactory) -> bool:
    """Finish with a person who is waiting to be forgotten. Return whether there was one.

    So it also finishes what a command began that was stopped.
    """
    waiting = user_db.fetch(_WAITING, {})
    if waiting:
        with user_db.begin() as session:
            user = session.get(User, waiting[0].user_id)
            if user is None:
                session.get_one(Forgetting, waiting[0].user_id).finished_at = utcnow()
            person = None if user is None else _Person(user)
        if person is not None:
            _forget(user_db, person)
    return bool(waiting)


def _forget(user_db: DBFactory, person: "_Person") -> Forgotten:
    entries = 0
    for some in _pages(user_db, TRAIL):
        entries += _erase(user_db, person, [row.id for row in some if person.is_in(row)])
    for table in UserBase.metadata.sorted_tables:
        if "requested_by" in table.columns:
            _rename(user_db, person, table)
    with user_db.begin() as session:
        _finish(session, person, entries)
    return Forgotten(person.id, entries)


class _Waiting(NamedTuple):
    user_id: UUID


_WAITING: Final[LoneSelect[_Waiting]] = LoneSelect(
    select(Forgetting.user_id).where(Forgetting.finished_at.is_(None)).limit(1), _Waiting
)


class _Person:
    """Finds a person in texts and in JSON, and puts their id in place of what names them."""

    def __init__(self, user: User) -> None:
        self.id, self.login, self.address = user.id, user.login, user.mail_address
        self.mark = f"{FORGOTTEN}{user.id}"
        names = sorted({name for name in (user.login, user.name, user.mail_address) if name}, key=len, reverse=True)
        # As a word of its own: `ada` is in "ada, please", and not in "adapter" or "ada@example.com".
        self._named = re.compile(rf"(?<![\w@.+-])({'|'.join(map(re.escape, names))})(?![\w@+-]|\.\w)", re.IGNORECASE)

    def erased(self, value: Any, key: str = "") -> Any:
        """Return JSON with the mark in place of each text that names the person."""
        if isinstance(value, str):
            return self.mark if key not in NOT_PEOPLE and self._named.search(value) else value
        if isinstance(value, dict):
            return {name: self.erased(each, name) for name, each in value.items()}
        return [self.erased(each, key) for each in value] if isinstance(value, list) else value

    def changes(self, row: Any) -> dict[str, Any]:
        """Return what to change in an entry: the new values of its columns."""
        changed: dict[str, Any] = {}
        # `local:ada` is an account of the machine, and not this person's.
        if row.actor_id == self.id or row.actor in (self.login, self.mark):
            changed |= {"actor": self.mark, "address": None}
        detail = self.erased(row.detail)
        if detail != row.detail:
            changed["detail"] = detail
        return {name: value for name, value in changed.items() if value != getattr(row, name)}

    def is_in(self, row: Any) -> bool:
        """Return whether an entry names the person, or did until it was erased."""
        return row.actor == self.mark or self.mark in str(row.detail) or bool(self.changes(row))


def _begin(session: Session, user: User) -> _Person:
    if user.service_tenant_id is not None:
        raise NotForgotten(f"{user.login} is a service account and no person. Remove it")
    set_enabled(session, user.login, False)
    session.execute(delete(ApiToken).where(ApiToken.user_id == user.id))
    if session.get(Forgetting, user.id) is None:
        session.add(Forgetting(user_id=user.id))
    return _Person(user)


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


def _erase(user_db: DBFactory, person: _Person, ids: list[UUID]) -> int:
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


def _rename(user_db: DBFactory, person: _Person, table: Table) -> None:
    """Put the id in place of the login where it says who asked for an operation, and for whom."""
    texts = [name for name in ("requested_by", "arguments", "result", "error") if name in table.columns]
    for some in _pages(user_db, table):
        with user_db.begin() as session:
            for row in some:
                new = {name: person.erased(getattr(row, name)) for name in texts}
                if changed := {name: value for name, value in new.items() if value != getattr(row, name)}:
                    session.execute(update(table).where(table.c.id == row.id).values(**changed))


def _finish(session: Session, person: _Person, entries: int) -> None:
    """Remove the account, unless another process just has.

    Its own rows go with it; invitations, links and mail know only the login or the address.
    """
    forgetting = session.scalars(select(Forgetting).where(Forgetting.user_id == person.id).with_for_update()).one()
    if forgetting.finished_at is not None:
        return
    for table in UserBase.metadata.sorted_tables:
        if table is User.__table__:
            continue
        for name, value in (("mail_address", person.address), ("login", person.login)):
            if name in table.columns and value is not None:
                session.execute(delete(table).where(table.c[name] == value))
        if "message" in table.columns:
            waiting = session.execute(select(table.c.id, table.c.message)).all()
            to = [row.id for row in waiting if person.erased(row.message) != row.message]
            session.execute(delete(table).where(table.c.id.in_(to)))
    session.execute(delete(User).where(User.id == person.id))
    forgetting.finished_at = utcnow()
    record(session, FORGET, detail={"user": str(person.id), "entries": entries})
