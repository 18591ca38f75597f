"""The second factors of a person together: which there are, and which may be removed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select
from sqlalchemy.orm import Session

from tenantapp.credentials import authenticator_apps, passkeys, recovery_codes
from tenantapp.credentials.authenticator_apps import TOTP, Secrets
from tenantapp.credentials.errors import FactorNeeded, InvalidCode, NoSecondFactor
from tenantapp.credentials.models import AuthenticatorApp, Passkey, RecoveryCode
from tenantapp.credentials.passkeys import PASSKEY, RelyingParty
from tenantapp.credentials.post import Post
from tenantapp.credentials.recovery_codes import RECOVERY_CODE
from tenantapp.identity.audit import record
from tenantapp.identity.effective import tenants_of
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import Grant, GroupMember, Tenant, User
from tenantapp.identity.users import end_sessions, get_user

# Whether the person in a SELECT from ``User`` has a second factor.
HAS_FACTOR: Final[ColumnElement[bool]] = or_(
    exists().where(AuthenticatorApp.user_id == User.id, AuthenticatorApp.confirmed_at.is_not(None)),
    exists().where(Passkey.user_id == User.id),
)
# A service account does not sign in, so it is asked for none.
_IS_PERSON: Final = User.service_tenant_id.is_(None)
_LACKS_FACTOR: Final = and_(_IS_PERSON, ~HAS_FACTOR)
# Whether the grant in a SELECT from ``Grant`` lets somebody in who has no second factor. Two conditions, each with its
# index.
LETS_IN_WITHOUT_FACTOR: Final[ColumnElement[bool]] = or_(
    exists().where(User.id == Grant.user_id, _LACKS_FACTOR).correlate(Grant),
    exists()
    .where(GroupMember.group_id == Grant.group_id, User.id == GroupMember.user_id, _LACKS_FACTOR)
    .correlate(Grant),
)


@dataclass(frozen=True, slots=True)
class Factors:
    """The second factors of a person. ``recovery_codes`` is how many are left."""

    app: AuthenticatorApp | None
    passkeys: list[Passkey]
    recovery_codes: int

    @property
    def number(self) -> int:
        """Return how many there are. Recovery codes only stand in for them."""
        return len(self.passkeys) + (self.app is not None)

    def usable_at(self, party: RelyingParty) -> list[AuthenticatorApp | Passkey]:
        """Return those that the person can use at this host: an app at any, a passkey at its own."""
        own = [each for each in self.passkeys if each.rp_id == party.id]
        return [*([] if self.app is None else [self.app]), *own]


@dataclass(frozen=True, slots=True)
class FactorCount:
    """How many people a tenant lets in, and how many of them have no second factor."""

    people: int
    without_second_factor: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person gives to prove a second factor: a code, a recovery code, or what a passkey has signed."""

    code: str | None = None
    recovery_code: str | None = None
    passkey: Mapping[str, Any] | None = None


def factors_of(session: Session, user_id: UUID) -> Factors:
    """Return the second factors of a person."""
    return Factors(
        authenticator_apps.find(session, user_id),
        passkeys.of_person(session, user_id),
        recovery_codes.number_left(session, user_id),
    )


def grants_without_factor(session: Session, grant_ids: Collection[UUID]) -> set[UUID]:
    """Return those of these grants that let somebody in without a second factor: the person, or one of the group."""
    return set(session.scalars(select(Grant.id).where(Grant.id.in_(grant_ids), LETS_IN_WITHOUT_FACTOR)))


def count_factors(session: Session, tenant_id: UUID) -> FactorCount:
    """Count the people with a role in a tenant, also by a group. Executes one statement."""
    members = select(func.coalesce(Grant.user_id, GroupMember.user_id)).where(Grant.tenant_id == tenant_id)
    members = members.outerjoin(GroupMember, GroupMember.group_id == Grant.group_id)
    numbers = select(func.count(), func.count().filter(~HAS_FACTOR)).where(User.id.in_(members), _IS_PERSON)
    return FactorCount(*session.execute(numbers).one())


def methods_of(session: Session, user_id: UUID, party: RelyingParty) -> list[str]:
    """Return by which factors a person can prove who they are at this host."""
    found = factors_of(session, user_id)
    usable = {
        TOTP: found.app is not None,
        PASSKEY: any(each.rp_id == party.id for each in found.passkeys),
        RECOVERY_CODE: found.recovery_codes > 0,
    }
    return [factor for factor, there in usable.items() if there]


def prove(
    session: Session,
    secrets: Secrets,
    user_id: UUID,
    answer: Answer,
    party: RelyingParty,
    challenge: bytes | None,
) -> str:
    """Take the answer, and return the factor that it has proved. Raises ``InvalidCode``."""
    if answer.code is not None:
        return authenticator_apps.prove(session, secrets, user_id, answer.code)
    if answer.recovery_code is not None:
        factor = recovery_codes.prove(session, user_id, answer.recovery_code)
        user = session.get_one(User, user_id)
        left = recovery_codes.number_left(session, user_id)
        record(session, "factor.use_recovery_code", by=user.login, detail={"login": user.login, "left": left})
        return factor
    if answer.passkey is None or challenge is None:
        raise InvalidCode
    passkeys.prove(session, party, challenge, answer.passkey, user_id)
    return PASSKEY


def remove_app(session: Session, user_id: UUID, party: RelyingParty) -> None:
    """Remove the person's authenticator app, at this host. Raises ``NotFound`` and ``FactorNeeded``."""
    app = authenticator_apps.find(session, user_id)
    if app is None:
        raise NotFound("authenticator app of", user_id)
    _check_removable(session, user_id, app, party)
    session.delete(app)
    session.flush()
    _removed(session, user_id, {"factor": TOTP})


def remove_passkey(session: Session, user_id: UUID, passkey_id: UUID, party: RelyingParty) -> None:
    """Remove a passkey of the person, at this host. Raises ``NotFound`` and ``FactorNeeded``."""
    passkey = passkeys.get(session, user_id, passkey_id)
    _check_removable(session, user_id, passkey, party)
    session.delete(passkey)
    session.flush()
    _removed(session, user_id, {"factor": PASSKEY, "passkey": str(passkey_id), "name": passkey.name})


def renew_recovery_codes(session: Session, user_id: UUID) -> list[str]:
    """Return new recovery codes; the former ones no longer work. Raises ``NoSecondFactor``."""
    _lock(session, user_id)
    if not factors_of(session, user_id).number:
        raise NoSecondFactor
    return recovery_codes.renew(session, user_id)


def remove_all(session: Session, login: str) -> int:
    """Remove all second factors of a person who has lost them, for an operator. Return how many.

    Recovery codes go as well, and every web session ends. Raises ``NotFound``.
    """
    user = get_user(session, login)
    number = factors_of(session, user.id).number
    for model in (AuthenticatorApp, Passkey, RecoveryCode):
        session.execute(delete(model).where(model.user_id == user.id))
    end_sessions(session, user.id)
    record(session, "factor.remove_all", detail={"login": user.login, "factors": number})
    return number


def tell_of_change(session: Session, user_id: UUID, post: Post) -> None:
    """Write to a person that their factors were changed (OWASP ASVS 5.0, 6.3.7)."""
    user = session.get_one(User, user_id)
    post.notice(session, user.mail_address, "factors-changed", login=user.login)


def _check_removable(session: Session, user_id: UUID, removed: AuthenticatorApp | Passkey, party: RelyingParty) -> None:
    """Raise ``FactorNeeded`` if the person could not work any more at this host without the factor.

    Passkeys of other hosts do not help here. They harm: as long as there are any, a password alone lets nobody in.
    """
    user = _lock(session, user_id)
    found = factors_of(session, user_id)
    here = found.usable_at(party)
    if (len(here) if removed in here else found.number) > 1:
        return
    own = [tenant.id for tenant in tenants_of(session, user_id)]
    requiring = select(Tenant.id).where(Tenant.id.in_(own), Tenant.second_factor_required).limit(1)
    if found.number > 1 or user.password_hash is None or session.scalar(requiring) is not None:
        raise FactorNeeded


def _lock(session: Session, user_id: UUID) -> User:
    """Lock the person: of two removals at once, the second sees what the first has left."""
    return session.scalars(select(User).where(User.id == user_id).with_for_update(key_share=True)).one()


def _removed(session: Session, user_id: UUID, detail: Mapping[str, str]) -> None:
    record(session, "factor.remove", detail=detail)
    if not factors_of(session, user_id).number:
        # They would let nobody in: without a second factor, none is asked for.
        session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
