"""Sign-ins in several steps, and what authenticators are asked to sign. A challenge is a row that is used once.

A web session begins only when everything is proved. What is written although the answer is an error, such as an attempt
or the next step, is written in a transaction of its own.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from tenantapp.credentials import factors, passkeys
from tenantapp.credentials.authenticator_apps import Secrets
from tenantapp.credentials.errors import ChallengeEnded, InvalidCode, PasswordChangeRequired, SignInIncomplete
from tenantapp.credentials.factors import Answer
from tenantapp.credentials.passkeys import PASSKEY, Asked, RelyingParty
from tenantapp.credentials.password_changes import tell_of_new_password
from tenantapp.credentials.password_rules import words_about
from tenantapp.credentials.post import Post
from tenantapp.credentials.sign_in import Proof, still_right, tenant_to_select
from tenantapp.identity.audit import record
from tenantapp.identity.models import SignInChallenge, User
from tenantapp.identity.web_sessions import end_pending, hash_token, joined, new_token
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import ACTOR, Actor
from tenantapp.tenancy.dbfactory import DBFactory

LIFETIME: Final = timedelta(minutes=10)  # OWASP ASVS 5.0, 6.5.5
ATTEMPTS: Final = 5
NEW_PASSWORD: Final = "new_password"  # noqa: S105  the name of a method


class Purpose(StrEnum):
    """What a challenge is for. An answer to one purpose is none to another."""

    SECOND_FACTOR = "second_factor"
    NEW_PASSWORD = NEW_PASSWORD
    PASSKEY = "passkey"
    AGAIN = "again"  # to prove again who one is
    ADD_PASSKEY = "add_passkey"


@dataclass(frozen=True, slots=True)
class Pending:
    """A challenge whose token was given, and this attempt counted. ``login`` is empty if nobody is known yet."""

    token_hash: bytes
    purpose: Purpose
    user_id: UUID | None
    login: str
    proved: tuple[str, ...]
    detail: Mapping[str, Any]

    @property
    def passkey_challenge(self) -> bytes | None:
        """Return what an authenticator was asked to sign, if one was."""
        asked = self.detail.get("passkey")
        return None if asked is None else base64url_to_bytes(asked)


def require_rest(user_db: DBFactory, proof: Proof, tenant_slug: str | None, party: RelyingParty, actor: Actor) -> None:
    """Raise ``SignInIncomplete`` or ``PasswordChangeRequired`` unless the password is all that the person has to prove.

    The challenge is committed. Raises ``TenantForbidden`` and ``InvalidCredentials`` as ``sign_in`` does.
    """
    if not (proof.second_factor or proof.initial):
        return
    with user_db.begin() as session:
        session.info[ACTOR] = actor
        _, tenants = still_right(session, proof)
        tenant_to_select(tenants, tenant_slug)
        current = replace(proof, password_hash=proof.new_hash or proof.password_hash)
        if proof.second_factor:
            next_step: Exception = SignInIncomplete(_ask_second_factor(session, current, tenant_slug, party))
        else:
            next_step = PasswordChangeRequired(_ask_new_password(session, current, tenant_slug))
    raise next_step


def open_challenge(user_db: DBFactory, token: str, *purposes: Purpose) -> Pending:
    """Return the challenge with this token, and count an attempt to answer it, which is committed.

    Raises ``ChallengeEnded`` if it is unknown, for another purpose, used or expired, or has no attempts left.
    """
    token_hash = hash_token(token)
    with user_db.begin() as session:
        counted = session.execute(
            update(SignInChallenge)
            .where(SignInChallenge.token_hash == token_hash, SignInChallenge.purpose.in_(purposes))
            .where(SignInChallenge.expires_at > utcnow(), SignInChallenge.attempts < ATTEMPTS)
            .values(attempts=SignInChallenge.attempts + 1)
        )
        if cast("CursorResult[object]", counted).rowcount != 1:
            raise ChallengeEnded
        found = session.get_one(SignInChallenge, token_hash)
        user = None if found.user_id is None else session.get(User, found.user_id)
        proved = tuple(found.factors.split())
        login = "" if user is None else user.login
        return Pending(token_hash, Purpose(found.purpose), found.user_id, login, proved, found.detail)


def open_own(user_db: DBFactory, token: str, purpose: Purpose, user_id: UUID) -> Pending:
    """Return the challenge of a person who is signed in, as ``open_challenge`` does. Raises ``ChallengeEnded``."""
    pending = open_challenge(user_db, token, purpose)
    if pending.user_id != user_id:
        raise ChallengeEnded
    return pending


def prove_rest(
    user_db: DBFactory, secrets: Secrets, pending: Pending, answer: Answer, party: RelyingParty, actor: Actor
) -> Proof:
    """Use the challenge, and return what is proved now: by a second factor, or by a passkey alone. It is committed.

    So a code is used up even if the sign-in fails after that. Raises ``InvalidCode`` and ``ChallengeEnded``.
    """
    with user_db.begin() as session:
        session.info[ACTOR] = actor
        use(session, pending)
        if pending.user_id is None:
            return _prove_alone(session, pending, answer, party)
        user = _unchanged(session, pending)
        factor = factors.prove(session, secrets, user.id, answer, party, pending.passkey_challenge)
        return Proof(user.id, (*pending.proved, factor), user.password_hash, initial=user.password_initial)


def prove_again(
    user_db: DBFactory,
    secrets: Secrets,
    user_id: UUID,
    answer: Answer,
    pending: Pending | None,
    party: RelyingParty,
    actor: Actor,
) -> str:
    """Take the answer of a person who is signed in, and return the factor that is proved. It is committed.

    ``pending`` is the challenge of a passkey. Raises ``InvalidCode`` and ``ChallengeEnded``.
    """
    with user_db.begin() as session:
        session.info[ACTOR] = actor
        if pending is not None:
            use(session, pending)
        asked = None if pending is None else pending.passkey_challenge
        return factors.prove(session, secrets, user_id, answer, party, asked)


def words_against(session: Session, pending: Pending) -> list[str]:
    """Return what the new password of the person must not contain. Raises ``ChallengeEnded`` if they are gone."""
    if pending.user_id is None or session.get(User, pending.user_id) is None:
        raise ChallengeEnded
    return words_about(session, pending.user_id)


def choose_password(session: Session, pending: Pending, password_hash: str, post: Post) -> Proof:
    """Store the hash of the person's own password, send them a notice, and return what is proved.

    Hash the password before the transaction begins, because hashing is slow by design. Raises ``ChallengeEnded``.
    """
    use(session, pending)
    user = _unchanged(session, pending)
    user.password_hash, user.password_initial, user.password_set_at = password_hash, False, utcnow()
    end_pending(session, user.id)
    session.flush()
    record(session, "password.change", by=user.login, detail={"login": user.login, "initial": True})
    tell_of_new_password(session, user, post)
    return Proof(user.id, pending.proved, password_hash)


def ask_passkey(session: Session, purpose: Purpose, asked: Asked, user_id: UUID | None = None) -> dict[str, Any]:
    """Store what an authenticator is asked to sign, and return it for the page with a token."""
    return {**_store(session, purpose, user_id, (), _passkey_detail(asked)), "passkey_options": asked.options}


def use(session: Session, pending: Pending) -> None:
    """Delete the challenge, so that nobody uses it again. Raises ``ChallengeEnded`` if somebody just has.

    The person is locked first, as by ``end_pending``, which deletes challenges too: so neither waits for what the other
    holds.
    """
    if pending.user_id is not None:
        session.scalar(select(User.id).where(User.id == pending.user_id).with_for_update(key_share=True))
    deleted = session.execute(delete(SignInChallenge).where(SignInChallenge.token_hash == pending.token_hash))
    if cast("CursorResult[object]", deleted).rowcount != 1:
        raise ChallengeEnded


def _prove_alone(session: Session, pending: Pending, answer: Answer, party: RelyingParty) -> Proof:
    if answer.passkey is None or pending.passkey_challenge is None:
        raise InvalidCode
    return Proof(passkeys.prove(session, party, pending.passkey_challenge, answer.passkey), (PASSKEY,))


def _unchanged(session: Session, pending: Pending) -> User:
    """Return the person, whom ``use`` has locked.

    Raises ``ChallengeEnded`` if they were disabled or got another password meanwhile.
    """
    person = select(User).where(User.id == pending.user_id)
    user = session.scalars(person.execution_options(populate_existing=True)).one_or_none()
    if user is None or not user.enabled or _mark(user.password_hash) != pending.detail.get("password"):
        raise ChallengeEnded
    return user


def _ask_second_factor(session: Session, proof: Proof, tenant: str | None, party: RelyingParty) -> dict[str, Any]:
    methods = factors.methods_of(session, proof.user_id, party)
    detail = {"tenant": tenant, "password": _mark(proof.password_hash)}
    if PASSKEY not in methods:
        return {**_store(session, Purpose.SECOND_FACTOR, proof.user_id, proof.factors, detail), "methods": methods}
    asked = passkeys.ask_to_sign(party, passkeys.of_person(session, proof.user_id, party.id))
    stored = _store(session, Purpose.SECOND_FACTOR, proof.user_id, proof.factors, {**detail, **_passkey_detail(asked)})
    return {**stored, "methods": methods, "passkey_options": asked.options}


def _ask_new_password(session: Session, proof: Proof, tenant: str | None) -> dict[str, Any]:
    detail = {"tenant": tenant, "password": _mark(proof.password_hash)}
    stored = _store(session, Purpose.NEW_PASSWORD, proof.user_id, proof.factors, detail)
    return {**stored, "methods": [NEW_PASSWORD]}


def _store(
    session: Session, purpose: Purpose, user_id: UUID | None, proved: tuple[str, ...], detail: Mapping[str, Any]
) -> dict[str, Any]:
    token, expires_at = new_token(), utcnow() + LIFETIME
    session.add(
        SignInChallenge(
            token_hash=hash_token(token),
            purpose=purpose,
            user_id=user_id,
            factors=joined(proved),
            detail=dict(detail),
            expires_at=expires_at,
        )
    )
    session.flush()
    return {"token": token, "expires_at": expires_at}


def _passkey_detail(asked: Asked) -> dict[str, str]:
    return {"passkey": bytes_to_base64url(asked.challenge)}


def _mark(password_hash: str | None) -> str | None:
    """Return what tells whether a hash is still the same, without the hash: a challenge is no second copy of it."""
    return None if password_hash is None else hashlib.sha256(password_hash.encode()).hexdigest()
