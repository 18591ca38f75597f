"""Forget a person: their account goes, and the trail keeps no more of them than an id.

Where an entry names them, ``forgotten:`` and the id take the place of the text. Its salt goes too, and the digest of
what was erased stays, so the chain still verifies; see ``canonical``. It may take long, and be killed: a worker
finishes it, or forgetting the same login again.

People choose their login and their name. So these are not looked for everywhere: somebody who is called like a server,
a tenant or a role would erase what others did. A login counts only where it is the whole text under a key that names
people (``identity.audit.NAMING``), and only since the account was made: somebody else may have had it before. What
people wrote, such as a reason, is searched for words only in entries about the person.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Table, delete, select, update
from sqlalchemy.orm import Session

from tenantapp.audit.canonical import DETAIL, erase, plain
from tenantapp.audit.errors import NotForgotten
from tenantapp.audit.models import TRAIL, Forgetting
from tenantapp.audit.sealing import trail_held
from tenantapp.audit.verifying import FORGET
from tenantapp.identity.audit import ARGUMENTS, NAMING, Naming, record
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.members import keeping_admins, tenants_entered_by
from tenantapp.identity.models import ApiToken, User, UserBase
from tenantapp.identity.names import FORGOTTEN, normalize_login
from tenantapp.identity.users import get_user, set_enabled
from tenantapp.sql.prepared import LoneSelect
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory

AT_ONCE: Final = 1000  # rows in one transaction


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
    """Let a person be forgotten who asks for it.

    Their sessions and tokens end at once; ``forget_waiting`` does the rest.

    Raises ``LastAdmin`` if a tenant would lose its last administrator.
    """
    with keeping_admins(session, tenants_entered_by(user_id)):
        user = session.get_one(User, user_id)
        record(session, "user.leave", detail={"login": user.login})
        _begin(session, user)


def forget_waiting(user_db: DBFactory) -> bool:
    """Finish with the people who are waiting to be forgotten. Return whether there were any.

    So it also finishes what a command began that was stopped. If it fails with somebody, the others are forgotten
    before the error is raised.
    """
    waiting = user_db.fetch(_WAITING, {})
    with ExitStack() as rest:
        for row in waiting:
            rest.callback(_finish_with, user_db, row.user_id)
    return bool(waiting)


def _finish_with(user_db: DBFactory, user_id: UUID) -> None:
    with user_db.begin() as session:
        user = session.get(User, user_id)
        if user is None:
            session.get_one(Forgetting, user_id).finished_at = utcnow()
        person = None if user is None else _person(session, user)
    if person is not None:
        _forget(user_db, person)


def _forget(user_db: DBFactory, person: "_Person") -> Forgotten:
    entries = 0
    for some in _pages(user_db, TRAIL):
        entries += _erase(user_db, person, [row.id for row in some if person.is_in(row)])
    for table in UserBase.metadata.sorted_tables:
        if "requested_by" in table.columns:
            _erase_requester(user_db, person, table)
    with user_db.begin() as session:
        _finish(session, person, entries)
    return Forgotten(person.id, entries)


class _Waiting(NamedTuple):
    user_id: UUID


_WAITING: Final[LoneSelect[_Waiting]] = LoneSelect(
    select(Forgetting.user_id).where(Forgetting.finished_at.is_(None)), _Waiting
)


@dataclass(frozen=True, slots=True)
class _Person:
    """Finds a person in entries and operations, and puts ``mark`` in place of what names them.

    ``logins`` are how others name them. They are theirs since the time ``since``.
    """

    id: UUID
    login: str
    logins: frozenset[str]
    address: str | None
    since: datetime
    mark: str
    words: re.Pattern[str]
    words_and_name: re.Pattern[str]

    def is_in(self, entry: Any) -> bool:
        """Return whether an entry is about the person, or was until they were erased from it."""
        was_erased = entry.erased is not None or entry.hash is None
        has_mark = entry.actor == self.mark or self.mark in str(entry.detail)
        return (was_erased and has_mark) or bool(self.changes(entry))

    def changes(self, entry: Any) -> dict[str, Any]:
        """Return what to change in an entry: the new values of its columns."""
        if not self._is_about(entry):
            return {}
        new: dict[str, Any] = {"detail": self._erased(entry)}
        if self._acts_in(entry):
            new |= {"actor": self.mark, "address": None}
        return {name: value for name, value in new.items() if value != getattr(entry, name)}

    def asked_for(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """Return what to change in an operation, or in the record of a run: who asked for it, and for whom.

        An error is a text of ours, and nothing depends on it when the operation is finished.
        """
        new: dict[str, Any] = {}
        if operation["requested_by"] in self.logins:
            new["requested_by"] = self.mark
        arguments = operation.get("arguments", {})
        if renamed := self._renamed(arguments):
            new["arguments"] = {**arguments, **renamed}
        error = operation.get("error")
        if new and error and operation["finished_at"] is not None:
            new["error"] = self.words.sub(self.mark, error)
        return {name: value for name, value in new.items() if value != operation[name]}

    def _is_about(self, entry: Any) -> bool:
        if entry.action == FORGET:
            return False
        return self._acts_in(entry) or bool(self._named_in(entry))

    def _acts_in(self, entry: Any) -> bool:
        if entry.actor_id is not None:
            return bool(entry.actor_id == self.id)
        return entry.actor == self.mark or (entry.actor in self.logins and entry.at >= self.since)

    def _named_in(self, entry: Any) -> dict[str, Any]:
        """Return what names the person in the detail of an entry, with the mark in its place."""
        is_later = entry.at >= self.since
        named = self._renamed(entry.detail, logins=is_later)
        arguments = entry.detail.get(ARGUMENTS)
        if isinstance(arguments, dict) and (renamed := self._renamed(arguments, logins=is_later)):
            named[ARGUMENTS] = {**arguments, **renamed}
        return named

    def _renamed(self, given: Mapping[str, Any], *, logins: bool = True) -> dict[str, Any]:
        return {key: self.mark for key, value in given.items() if self._is_named(key, value, logins)}

    def _is_named(self, key: str, value: Any, logins: bool) -> bool:
        if not isinstance(value, str):
            return False
        match NAMING.get(key):
            case Naming.LOGIN:
                return value == self.mark or (logins and _normal(value) in self.logins)
            case Naming.ADDRESS:
                return value in (self.mark, self.address)
        return False

    def _erased(self, entry: Any) -> dict[str, Any]:
        """Return the detail of an entry that is about the person, without them."""
        named = self._named_in(entry)
        kinds = {key: NAMING.get(key) for key, value in entry.detail.items() if isinstance(value, str)}
        if any(kinds.get(key) is Naming.LOGIN for key in named):
            named |= {key: self.mark for key, kind in kinds.items() if kind is Naming.SUBJECT}
        written = [key for key, kind in kinds.items() if kind is Naming.TEXT]
        named |= {key: self.mark for key in written if self.words_and_name.search(entry.detail[key])}
        return {**entry.detail, **named}


def _person(session: Session, user: User) -> _Person:
    logins = {user.login}
    if user.mail_address is not None:
        # Who types their address where their login is asked for is named by it, unless it is the login of another.
        typed = _normal(user.mail_address)
        if typed is not None and session.scalar(select(User.id).where(User.login == typed)) is None:
            logins.add(typed)
    called = [user.login, *([user.mail_address] if user.mail_address else [])]
    return _Person(
        id=user.id,
        login=user.login,
        logins=frozenset(logins),
        address=user.mail_address,
        since=user.created_at,
        mark=f"{FORGOTTEN}{user.id}",
        words=_any_of(called),
        words_and_name=_any_of([*called, user.name]),
    )


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of a name as a word of its own: `ada` is in "ada, please", not in "ada@example.com"."""
    longest_first = sorted(map(re.escape, names), key=len, reverse=True)
    return re.compile(rf"(?<![\w@.+-])({'|'.join(longest_first)})(?![\w@+-]|\.\w)", re.IGNORECASE)


def _normal(text: str) -> str | None:
    """Return what somebody typed as a login in its stored form, or None if it can be none."""
    try:
        return normalize_login(text)
    except InvalidValue:
        return None


def _begin(session: Session, user: User) -> _Person:
    if user.service_tenant_id is not None:
        raise NotForgotten(f"{user.login} is a service account and no person. Remove it")
    set_enabled(session, user.login, False)
    session.execute(delete(ApiToken).where(ApiToken.user_id == user.id))
    if session.get(Forgetting, user.id) is None:
        session.add(Forgetting(user_id=user.id))
    return _person(session, user)


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


def _erase_requester(user_db: DBFactory, person: _Person, table: Table) -> None:
    """Put the id in place of the login where it says who asked for an operation, and for whom."""
    for some in _pages(user_db, table):
        if ids := [row.id for row in some if person.asked_for(row._asdict())]:
            with user_db.begin() as session:
                # A worker that has one of them records what it did meanwhile.
                for row in session.execute(select(table).where(table.c.id.in_(ids)).with_for_update()).all():
                    if changed := person.asked_for(row._asdict()):
                        session.execute(update(table).where(table.c.id == row.id).values(**changed))


def _finish(session: Session, person: _Person, entries: int) -> None:
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
