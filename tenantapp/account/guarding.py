"""The throttle over HTTP: whose attempt a request is, and the cookie of a known device."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from tenantapp.account.post import post_of
from tenantapp.credentials import devices
from tenantapp.credentials.passwords import place
from tenantapp.credentials.refusals import recorded_refusals
from tenantapp.credentials.sign_in import account_of
from tenantapp.credentials.throttling import Attempt, Kind
from tenantapp.identity.models import User
from tenantapp.identity.policy import read_cookie
from tenantapp.tenancy.request import TenantRequest

# With this prefix, browsers accept the cookie only if it is Secure, has no Domain, and has Path=/ (RFC 6265bis).
SECURE_COOKIE: Final = "__Host-tenantapp-device"
PLAIN_COOKIE: Final = "tenantapp-device"


@contextmanager
def guarded(request: TenantRequest, kind: Kind, login: str) -> Iterator[None]:
    """Let the block check what the request says who it is, unless too many attempts were made. Record refusals.

    ``login`` is as it was typed. The block must not write to the user database. Raises ``TooManyAttempts``,
    ``ThrottleUnavailable`` and, if a password cannot be hashed now, ``TooManySignIns``.
    """
    user_db, account = request.registry.user_db, account_of(login)
    with place() if kind is Kind.PASSWORD else nullcontext():
        device = devices.find(user_db, User.login == account, device_token(request))
        attempt = Attempt(kind, account, request.actor.address, device)
        with recorded_refusals(user_db, request.actor, login), request.registry.throttle.guarded(attempt):
            yield


def count_attempt(
    request: TenantRequest,
    kind: Kind,
    name: str,
    *,
    token: str | None = None,
    person: ColumnElement[bool] | None = None,
) -> None:
    """Count a request that is never right or wrong, such as one for mail, unless there were too many.

    ``name`` is a login or an address as it was typed. The use of a link is counted for its ``token``, because anybody
    may ask for mail to an address. With ``person``, a condition on ``User``, their known devices have counters of their
    own. Raises ``TooManyAttempts`` and ``ThrottleUnavailable``.
    """
    user_db, account = request.registry.user_db, account_of(name) if token is None else token
    device = None if person is None else devices.find(user_db, person, device_token(request))
    with recorded_refusals(user_db, request.actor, name):
        request.registry.throttle.count(Attempt(kind, account, request.actor.address, device))


def count_challenge(request: TenantRequest) -> None:
    """Count a request for a challenge of a passkey, for its address alone: nobody is named, and nothing is guessed.

    Raises ``TooManyAttempts`` and ``ThrottleUnavailable``.
    """
    request.registry.throttle.count(Attempt(Kind.PASSKEY, None, request.actor.address))


def challenge_met(request: TenantRequest) -> None:
    """Take back what ``count_challenge`` has counted: somebody signs in by the challenge."""
    request.registry.throttle.succeeded(Attempt(Kind.PASSKEY, None, request.actor.address))


def device_token(request: TenantRequest) -> str | None:
    """Return the token of the browser as a known device, or None."""
    return read_cookie(request, _cookie_name(request))


def remember_device(request: TenantRequest, user_id: UUID) -> None:
    """Make the browser a known device of the person who has just signed in, and who is told if it was none."""
    request.response.headerlist.append(device_cookie(request, request.user_session, user_id))


def device_cookie(
    request: TenantRequest, session: Session, user_id: UUID, *, by_provider: bool = False
) -> tuple[str, str]:
    """Do the same in this session on the user database, and return the header. The cookie stays after a sign-out.

    ``by_provider`` says that an identity provider has vouched for the person, who has not proved it here.
    """
    token, client = device_token(request), (request.actor.address, request.user_agent)
    if token is None or not devices.use_again(session, user_id, token, by_provider=by_provider):
        before = devices.held(session, user_id, by_provider=by_provider)
        devices.tell_of_unknown(session, post_of(request), user_id, before, *client)
        token = devices.remember(session, user_id, token, before, by_provider=by_provider)
    secure = "; Secure" if request.scheme == "https" else ""
    lifetime = int(devices.LIFETIME.total_seconds())
    # Lax: it comes along when an identity provider sends the browser back.
    return "Set-Cookie", f"{_cookie_name(request)}={token}; Path=/; HttpOnly; SameSite=Lax{secure}; Max-Age={lifetime}"


def _cookie_name(request: TenantRequest) -> str:
    return SECURE_COOKIE if request.scheme == "https" else PLAIN_COOKIE
