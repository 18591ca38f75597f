"""Passkeys (WebAuthn Level 3): as a second factor, or alone.

The library checks signatures. What is asked for and what is stored is decided here. A passkey that is used alone has to
have verified the person, by a PIN or a finger, so it is two factors.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

import orjson
import webauthn
from sqlalchemy import select
from sqlalchemy.orm import Session
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import base64url_to_bytes, generate_challenge, options_to_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from tenantapp.credentials.errors import InvalidCode, InvalidPasskey, TooManyPasskeys
from tenantapp.credentials.models import Passkey
from tenantapp.credentials.passkey_names import NO_NAMES, name_for
from tenantapp.identity.audit import record
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import User
from tenantapp.identity.names import clean_name
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.sql.times import utcnow

log = logging.getLogger(__name__)

PASSKEY: Final = "passkey"  # the name of the factor
MOST: Final = 20  # of one person
Verified = TypeVar("Verified")


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whom passkeys are for: the host of the page as ``id``, and the page's ``origin``."""

    id: str
    origin: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What an authenticator is asked to sign: the options for the page, and the challenge in them."""

    options: dict[str, Any]
    challenge: bytes


def ask_to_add(session: Session, user: User, party: RelyingParty) -> Asked:
    """Return the options for a new passkey. Raises ``TooManyPasskeys``."""
    own = of_person(session, user.id)
    if len(own) >= MOST:
        raise TooManyPasskeys(MOST)
    challenge = generate_challenge()
    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name=party.id,
        user_id=user.id.bytes,  # no login: the authenticator shows it to anybody who holds it
        user_name=user.login,
        user_display_name=user.name,
        challenge=challenge,
        exclude_credentials=[PublicKeyCredentialDescriptor(id=each.credential_id) for each in own],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
    )
    return Asked(orjson.loads(options_to_json(options)), challenge)


def add(
    session: Session,
    user_id: UUID,
    party: RelyingParty,
    challenge: bytes,
    answer: Mapping[str, Any],
    name: str | None = None,
    names: Mapping[UUID, str] = NO_NAMES,
) -> Passkey:
    """Store the passkey that an authenticator has made. Raises ``InvalidPasskey`` and ``AlreadyExists``.

    Without a name, it is called by what has made it, as far as ``names`` tell.
    """

    def verify() -> VerifiedRegistration:
        return webauthn.verify_registration_response(
            credential=dict(answer),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
        )

    made = _verified(verify, InvalidPasskey)
    now, aaguid = utcnow(), UUID(made.aaguid)
    taken = [each.name for each in of_person(session, user_id)]
    passkey = Passkey(
        user_id=user_id,
        name=clean_name(name or name_for(aaguid, names, taken, now)),
        rp_id=party.id,
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        aaguid=aaguid,
        backed_up=made.credential_backed_up,
        created_at=now,
    )
    session.add(passkey)
    flush_unique(session, "passkey", passkey.name)
    record(session, "factor.add", detail={"factor": PASSKEY, "passkey": str(passkey.id), "name": passkey.name})
    return passkey


def ask_to_sign(party: RelyingParty, own: list[Passkey] | None = None) -> Asked:
    """Return the options for a proof by one of a person's passkeys, or without them by any, alone."""
    challenge = generate_challenge()
    options = webauthn.generate_authentication_options(
        rp_id=party.id,
        challenge=challenge,
        allow_credentials=[PublicKeyCredentialDescriptor(id=each.credential_id) for each in own or ()],
        user_verification=UserVerificationRequirement.PREFERRED if own else UserVerificationRequirement.REQUIRED,
    )
    return Asked(orjson.loads(options_to_json(options)), challenge)


def ask_to_sign_own(session: Session, user_id: UUID, party: RelyingParty) -> Asked:
    """Return the options for a proof by a passkey of the person. Raises ``NotFound`` if there is none at this host."""
    own = of_person(session, user_id, party.id)
    if not own:
        raise NotFound("passkey at", party.id)
    return ask_to_sign(party, own)


def prove(
    session: Session, party: RelyingParty, challenge: bytes, answer: Mapping[str, Any], user_id: UUID | None = None
) -> UUID:
    """Check what an authenticator has signed, and return the id of the person.

    Without ``user_id`` the passkey is used alone: it says who the person is, and must have verified them. Raises
    ``InvalidCode``.
    """
    passkey = session.scalar(select(Passkey).where(Passkey.credential_id == _id_in(answer)).with_for_update())
    if passkey is None or user_id not in (None, passkey.user_id) or passkey.rp_id != party.id:
        raise InvalidCode

    def verify() -> VerifiedAuthentication:
        return webauthn.verify_authentication_response(
            credential=dict(answer),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=user_id is None,
        )

    used = _verified(verify, InvalidCode)
    passkey.sign_count, passkey.backed_up = used.new_sign_count, used.credential_backed_up
    passkey.last_used_at = utcnow()
    session.flush()
    return passkey.user_id


def of_person(session: Session, user_id: UUID, rp_id: str | None = None) -> list[Passkey]:
    """Return the passkeys of a person, in the order in which they were made, or only those for this host."""
    statement = select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id)
    return list(session.scalars(statement if rp_id is None else statement.where(Passkey.rp_id == rp_id)))


def get(session: Session, user_id: UUID, passkey_id: UUID) -> Passkey:
    """Return a passkey of the person. Raises ``NotFound``, also for one of somebody else."""
    passkey = session.get(Passkey, passkey_id)
    if passkey is None or passkey.user_id != user_id:
        raise NotFound("passkey", passkey_id)
    return passkey


def rename(session: Session, user_id: UUID, passkey_id: UUID, name: str) -> Passkey:
    """Give a passkey of the person another name. Raises ``NotFound`` and ``InvalidValue``."""
    passkey = get(session, user_id, passkey_id)
    passkey.name = clean_name(name)
    session.flush()
    return passkey


def _id_in(answer: Mapping[str, Any]) -> bytes:
    try:
        return base64url_to_bytes(answer["id"])
    except Exception:
        return b""  # no passkey has it


def _verified(verify: Callable[[], Verified], wrong: type[Exception]) -> Verified:
    """Return what the library has verified. Raises ``wrong``.

    The library reads what strangers send with several parsers. Whatever one of them raises means the same.
    """
    try:
        return verify()
    except Exception as error:
        log.info("A passkey was refused: %s: %s", type(error).__name__, error)
        raise wrong from error
