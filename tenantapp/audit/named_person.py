"""Find a person who is to be forgotten in entries and operations, and say what takes the place of what names them.

People choose their login and their name. So these are not looked for everywhere: somebody who is called like a server,
a tenant or a role would erase what others did. A login counts only where it is the whole text under a key that names
people (``identity.audit.NAMING``), and only since the account was made: somebody else may have had it before. What
people wrote, such as a reason, is searched for words only in entries and operations about the person.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.audit.verifying import FORGET
from tenantapp.identity.audit import ARGUMENTS, NAMING, Naming
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import User
from tenantapp.identity.names import FORGOTTEN, normalize_login


@dataclass(frozen=True, slots=True)
class NamedPerson:
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

        The arguments of an operation change only when it is finished: until then its steps use them. So does an error,
        which is a text of ours. What the steps returned has no people in it.
        """
        new: dict[str, Any] = {}
        if self._has_asked(operation):
            new["requested_by"] = self.mark
        given = self.given(operation)
        if operation.get("finished_at") is not None:
            if given:
                new["arguments"] = {**operation["arguments"], **given}
            if new and operation["error"]:
                new["error"] = self.words.sub(self.mark, operation["error"])
        return {name: value for name, value in new.items() if value != operation[name]}

    def given(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """Return what names the person in the arguments of an operation, with the mark in its place."""
        arguments = operation.get("arguments", {})
        named = self._renamed(arguments, logins=self._is_later(operation))
        if named or self._has_asked(operation):
            named |= self._written(arguments)
        return named

    def _has_asked(self, operation: Mapping[str, Any]) -> bool:
        by = operation["requested_by"]
        return bool(by == self.mark or (by in self.logins and self._is_later(operation)))

    def _is_later(self, operation: Mapping[str, Any]) -> bool:
        """Return whether the account was there when an operation was asked for, or a run began."""
        return bool((operation.get("created_at") or operation["started_at"]) >= self.since)

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
        named |= self._written(entry.detail)
        arguments = named.get(ARGUMENTS, entry.detail.get(ARGUMENTS))
        if isinstance(arguments, dict) and (written := self._written(arguments)):
            named[ARGUMENTS] = {**arguments, **written}
        return {**entry.detail, **named}

    def _written(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the texts that name the person, with the mark in place of each."""
        texts = {key: value for key, value in given.items() if NAMING.get(key) is Naming.TEXT}
        return {
            key: self.mark
            for key, value in texts.items()
            if isinstance(value, str) and value != self.mark and self.words_and_name.search(value)
        }


def named_person(session: Session, user: User) -> NamedPerson:
    """Return what names a person."""
    logins = {user.login}
    if user.mail_address is not None:
        # Who types their address where their login is asked for is named by it, unless it is the login of another.
        typed = _normal(user.mail_address)
        if typed is not None and session.scalar(select(User.id).where(User.login == typed)) is None:
            logins.add(typed)
    called = [user.login, *([user.mail_address] if user.mail_address else [])]
    return NamedPerson(
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
