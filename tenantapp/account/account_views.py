"""A person's own account over HTTP: their name, mail address and password."""

import logging
from typing import Any, Self

from pydantic import Field, model_validator
from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from sqlalchemy import select

from tenantapp.account.answers import Accepted, Account, Session
from tenantapp.account.guarding import count_attempt, guarded
from tenantapp.account.post import post_of
from tenantapp.account.session_views import read_back, session_object, signed_out
from tenantapp.api.json import Body
from tenantapp.api.views import api_view
from tenantapp.audit.forgetting import leave
from tenantapp.content import example
from tenantapp.credentials import addresses, password_changes
from tenantapp.credentials.password_changes import Hashing
from tenantapp.credentials.throttling import Kind
from tenantapp.identity import web_sessions
from tenantapp.identity.models import User
from tenantapp.identity.permissions import Permission
from tenantapp.identity.policy import cookie_token, refuse_tokens
from tenantapp.identity.users import rename_user
from tenantapp.mail.errors import MailNotConfigured
from tenantapp.tenancy.request import TenantRequest

log = logging.getLogger(__name__)
LINK_IS_SENT = {"detail": "A link is sent to the address. Open it there."}
LINK_MAY_BE_SENT = {"detail": "If there is such an account and it has a confirmed address, a link is sent there."}


class AccountChange(Body, json_schema_extra=example({"name": "Ada King"})):
    """The body of ``PATCH /account``."""

    name: str = Field(max_length=1000)


class NewAddress(Body, json_schema_extra=example({"address": "ada@example.com"})):
    """The body of ``POST /account/address``."""

    address: str = Field(max_length=1000)


class PasswordChange(
    Body,
    json_schema_extra=example(
        {"old": "my former passphrase", "new": "three otters juggling", "end_other_sessions": True}
    ),
):
    """The body of ``PUT /account/password``."""

    old: str = Field(max_length=10_000)
    new: str = Field(max_length=10_000)
    end_other_sessions: bool = False


class PasswordReset(Body, json_schema_extra=example({"login": "ada"})):
    """The body of ``POST /account/password-resets``: a login, or a mail address."""

    login: str | None = Field(None, max_length=1000)
    address: str | None = Field(None, max_length=1000)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.login is None) == (self.address is None):
            raise ValueError("Name either a login or an address.")
        return self


@api_view("account", "GET", permission=Permission.OWN_ACCOUNT, answer=Account)
def read_account(request: TenantRequest) -> dict[str, Any]:
    """Return the person's own account."""
    user = request.user_session.scalars(select(User).where(User.id == request.access.person.id)).one()
    return account_object(user)


@api_view("account", "PATCH", permission=Permission.OWN_ACCOUNT, body=AccountChange, writes="user", answer=Account)
def change_account(request: TenantRequest) -> dict[str, Any]:
    """Change the person's name, which others in their tenants see."""
    return account_object(rename_user(request.user_session, request.access.person.id, request.checked_body.name))


@api_view(
    "account",
    "DELETE",
    permission=Permission.OWN_ACCOUNT,
    writes="user",
    fresh=True,
    in_batch=False,
    answer=None,
    headers=("Set-Cookie", "Clear-Site-Data"),
    problems=("last_admin",),
)
def delete_account(request: TenantRequest) -> Response:
    """Forget the person: they are signed out for good, and a worker removes what is known of them."""
    leave(request.user_session, request.access.person.id)
    return Response(status=204, headerlist=signed_out(request))


@api_view(
    "account_address",
    "POST",
    permission=Permission.OWN_ACCOUNT,
    body=NewAddress,
    writes="user",
    fresh=True,
    status=202,
    answer=Accepted,
    problems=("mail_not_configured", "too_many_links"),
)
def request_address(request: TenantRequest) -> dict[str, Any]:
    """Send a link to a new mail address, which counts once the link was opened. The old one gets a notice."""
    address: str = request.checked_body.address
    addresses.request_address(request.user_session, request.access.person.id, address, post_of(request))
    return LINK_IS_SENT


@api_view(
    "account_password",
    "PUT",
    permission=Permission.OWN_ACCOUNT,
    body=PasswordChange,
    writes="user",
    answer=Session,
    headers=("Set-Cookie",),
    problems=("too_many_attempts",),
)
def change_password(request: TenantRequest) -> dict[str, Any]:
    """Change the person's password. The session gets a new token, and the others end if that is asked for."""
    body: PasswordChange = request.checked_body
    access = request.access
    user_db, hashing = request.registry.user_db, hashing_of(request)
    with guarded(request, Kind.PASSWORD, access.person.login):
        old_hash = password_changes.check_old_password(user_db, access.person.id, body.old, hashing.memory)
    change = password_changes.prepare_change(user_db, access.person.id, old_hash, body.new, hashing)
    password_changes.change_password(
        request.user_session,
        change,
        post_of(request),
        keep=access.web_session_id,
        end_other_sessions=body.end_other_sessions,
    )
    token = web_sessions.new_token()
    factors = {*access.factors, "password"}
    web_sessions.authenticated_again(request.user_session, cookie_token(request) or "", token, factors)
    request.response.headerlist.extend(request.registry.security_policy.remember(request, token))
    return session_object(request, read_back(request, token), token)


@api_view(
    "account_password_resets",
    "POST",
    permission=NO_PERMISSION_REQUIRED,
    body=PasswordReset,
    writes="user",
    status=202,
    answer=Accepted,
    problems=("token_not_allowed", "too_many_attempts"),
)
def request_reset(request: TenantRequest) -> dict[str, Any]:
    """Send a link by which a person sets a new password. The answer is the same for everybody, and for nobody."""
    refuse_tokens(request)
    body: PasswordReset = request.checked_body
    person = password_changes.named(body.login, body.address)
    count_attempt(request, Kind.RESET, body.login or body.address or "", person=person)
    try:
        password_changes.request_reset(request.user_session, post_of(request), login=body.login, address=body.address)
    except MailNotConfigured as error:
        log.warning("Request %s: no link for a new password is sent. %s", request.request_id, error)
    return LINK_MAY_BE_SENT


def hashing_of(request: TenantRequest) -> Hashing:
    """Return how new passwords are checked and hashed."""
    return Hashing(request.registry.app_settings.passwords_memory, request.registry.breached_passwords)


def account_object(user: User) -> dict[str, Any]:
    """Return an account as its person sees it."""
    return {
        "id": user.id,
        "login": user.login,
        "name": user.name,
        "address": user.mail_address,
        "has_password": user.password_hash is not None,
        "password_set_at": user.password_set_at,
    }


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("account", "/account")
    config.add_route("account_address", "/account/address")
    config.add_route("account_password", "/account/password")
    config.add_route("account_password_resets", "/account/password-resets")
