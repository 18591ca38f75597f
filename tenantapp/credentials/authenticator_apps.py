"""Authenticator apps: time-based one-time passwords (TOTP, RFC 6238)."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final, cast
from uuid import UUID

import pyotp
import segno
from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.orm import Session

from tenantapp.credentials.errors import InvalidCode
from tenantapp.credentials.models import AuthenticatorApp
from tenantapp.identity.audit import record
from tenantapp.identity.encrypted import CLEAR, decrypt_by_any, encrypt
from tenantapp.identity.errors import AlreadyExists, NotFound
from tenantapp.sql.times import utcnow

TOTP: Final = "totp"  # the name of the factor
STEP: Final = 30  # seconds
Secrets = Sequence[str | None]  # tenancy.secret, and the former one while it is replaced: see ``encrypted.secrets_of``
DRIFT: Final = 1  # steps that a clock may be early or late (RFC 6238, section 6)


@dataclass(frozen=True, slots=True)
class NewSecret:
    """What an authenticator app is set up with. ``qr_code`` is an SVG of ``uri``."""

    secret: str
    uri: str
    qr_code: str


def begin(session: Session, secrets: Secrets, user_id: UUID, login: str, issuer: str) -> NewSecret:
    """Make and store a secret, in place of one that was not confirmed. It counts once ``confirm`` has seen a code.

    ``issuer`` is what the app shows beside the login. Raises ``AlreadyExists`` if the person has an app.
    """
    if find(session, user_id) is not None:
        raise AlreadyExists("authenticator app of", login)
    session.execute(delete(AuthenticatorApp).where(AuthenticatorApp.user_id == user_id))
    secret = pyotp.random_base32()  # 160 bits (RFC 4226, section 4)
    session.add(AuthenticatorApp(user_id=user_id, secret=_encrypted(secret, secrets, user_id)))
    session.flush()
    uri = pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=issuer)
    drawn = io.BytesIO()
    segno.make(uri, error="m").save(drawn, kind="svg", xmldecl=False, omitsize=True)
    return NewSecret(secret, uri, drawn.getvalue().decode())


def confirm(session: Session, secrets: Secrets, user_id: UUID, code: str) -> None:
    """Let the app count from now on, if the code is right.

    Raises ``InvalidCode``, and ``NotFound`` if no app waits for its first code.
    """
    app = session.get(AuthenticatorApp, user_id)
    if app is None or app.confirmed_at is not None:
        raise NotFound("authenticator app that waits for its first code of", user_id)
    _take(session, app, _matching_step(secrets, app, code))
    app.confirmed_at = utcnow()
    session.flush()
    record(session, "factor.add", detail={"factor": TOTP})


def prove(session: Session, secrets: Secrets, user_id: UUID, code: str) -> str:
    """Take a code of the person's app, and return the factor. Raises ``InvalidCode``, also if its step was used."""
    app = find(session, user_id)
    if app is None:
        raise InvalidCode
    _take(session, app, _matching_step(secrets, app, code))
    return TOTP


def find(session: Session, user_id: UUID) -> AuthenticatorApp | None:
    """Return the person's app, or None if there is none that counts."""
    app = session.get(AuthenticatorApp, user_id, populate_existing=True)
    return None if app is None or app.confirmed_at is None else app


def number_in_clear(session: Session) -> int:
    """Return how many secrets are stored in clear."""
    in_clear = AuthenticatorApp.secret.startswith(CLEAR)
    return session.scalar(select(func.count()).select_from(AuthenticatorApp).where(in_clear)) or 0


def _matching_step(secrets: Secrets, app: AuthenticatorApp, code: str) -> int:
    """Return the time step that the code is of. Raises ``InvalidCode``."""
    totp = pyotp.TOTP(_decrypted(app, secrets), interval=STEP)
    given = code.replace(" ", "").encode()
    now = int(utcnow().timestamp()) // STEP
    for step in range(now - DRIFT, now + DRIFT + 1):
        if compare_digest(totp.generate_otp(step).encode(), given):
            return step
    raise InvalidCode


def _take(session: Session, app: AuthenticatorApp, step: int) -> None:
    """Note the step. Of two requests with the same code, the second one changes no row. Raises ``InvalidCode``."""
    later = update(AuthenticatorApp).where(AuthenticatorApp.user_id == app.user_id, AuthenticatorApp.last_step < step)
    taken = session.execute(later.values(last_step=step, last_used_at=utcnow()))
    if cast("CursorResult[object]", taken).rowcount != 1:
        raise InvalidCode


def _encrypted(secret: str, secrets: Secrets, user_id: UUID) -> str:
    return encrypt(secret, secrets[0], TOTP, str(user_id))


def _decrypted(app: AuthenticatorApp, secrets: Secrets) -> str:
    return decrypt_by_any(app.secret, secrets, TOTP, str(app.user_id))
