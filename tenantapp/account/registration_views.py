"""Registration over HTTP: first a mail to an address, then an account by its link."""

from typing import Any

from pydantic import Field
from pyramid.config import Configurator
from pyramid.security import NO_PERMISSION_REQUIRED

from tenantapp.account import answers
from tenantapp.account.account_views import hashing_of
from tenantapp.account.guarding import count_attempt
from tenantapp.account.link_views import PROBLEMS, TOKEN, UsedLink
from tenantapp.account.post import post_of
from tenantapp.api.json import Body
from tenantapp.api.views import api_view
from tenantapp.content import example
from tenantapp.credentials.password_rules import hash_new_password
from tenantapp.credentials.throttling import Kind
from tenantapp.identity.errors import InvalidValue, RegistrationClosed
from tenantapp.identity.models import User
from tenantapp.identity.policy import refuse_tokens
from tenantapp.joining import own_tenants, registration
from tenantapp.joining.errors import AddressCaptured
from tenantapp.joining.registration import NewUser
from tenantapp.settings import Settings
from tenantapp.tenancy.request import TenantRequest

LINK_IS_SENT = {"detail": "A mail is sent to the address. Go on with its link."}


class Registration(Body, json_schema_extra=example({"address": "grace@example.com"})):
    """The body of ``POST /users``."""

    address: str = Field(max_length=1000)


class OwnTenant(Body):
    """A tenant that is made for the person who registers."""

    slug: str = Field(max_length=1000)
    name: str = Field(max_length=1000)


class InvitedPerson(
    UsedLink,
    json_schema_extra=example(
        {"token": TOKEN, "login": "grace", "password": "three otters juggling", "name": "Grace Hopper"}
    ),
):
    """The body of a registration by the link of an invitation."""

    login: str = Field(max_length=1000)
    password: str = Field(max_length=10_000)
    name: str | None = Field(None, max_length=1000)


class NewPerson(
    InvitedPerson,
    json_schema_extra=example(
        {"token": TOKEN, "login": "grace", "password": "three otters juggling", "name": "Grace Hopper"}
    ),
):
    """The body of a registration by a link. ``tenant`` is for installations where people begin with their own."""

    tenant: OwnTenant | None = None


@api_view(
    "users",
    "POST",
    permission=NO_PERMISSION_REQUIRED,
    body=Registration,
    writes="user",
    status=202,
    answer=answers.Accepted,
    problems=("mail_not_configured", "registration_closed", "token_not_allowed", "too_many_attempts"),
)
def request_registration(request: TenantRequest) -> dict[str, Any]:
    """Send a mail to an address by which somebody registers. The answer is the same if it has an account."""
    refuse_tokens(request)
    check_open(request)
    address: str = request.checked_body.address
    count_attempt(request, Kind.REGISTRATION, address)
    registration.request_registration(request.user_session, address, post_of(request))
    return LINK_IS_SENT


@api_view(
    "link_registration",
    "POST",
    permission=NO_PERMISSION_REQUIRED,
    body=NewPerson,
    writes="user",
    status=201,
    answer=answers.User,
    problems=("already_exists", "registration_closed", "single_sign_on_required", "too_many_attempts", *PROBLEMS),
)
def register(request: TenantRequest) -> dict[str, Any]:
    """Make the account of whoever has the link, and if the installation says so, a tenant of their own."""
    refuse_tokens(request)
    body: NewPerson = request.checked_body
    with_tenant = check_open(request) == "tenant"
    if with_tenant != (body.tenant is not None):
        raise InvalidValue("tenant", "Name your own tenant." if with_tenant else "Nobody begins with their own tenant.")
    # Read before the transaction: no lock is held while the password is hashed.
    with request.registry.user_db.begin(read_only=True) as session:
        link = registration.read_registration(session, body.token)
    words = () if body.tenant is None else (body.tenant.slug, body.tenant.name)
    new = new_user(request, body, link.mail_address or "", *words)
    user = registration.register(request.user_session, body.token, new)
    if body.tenant is not None:
        registration.check_own_tenant(body.tenant.slug, body.tenant.name)
        fleet = request.registry.fleet
        own_tenants.request_own_tenant(request.user_session, fleet, user, body.tenant.slug, body.tenant.name)
    return described(user)


def new_user(request: TenantRequest, body: InvitedPerson, address: str, *words: str) -> NewUser:
    """Return the person of a body, whose login and password are checked. ``words`` are not in the password.

    Attempts are counted: an answer tells which logins are taken.
    """
    count_attempt(request, Kind.LINK, address, token=body.token)
    registration.check_person(body.login, body.name, address)
    hashing = hashing_of(request)
    known = [body.login, body.name or "", address, *words]
    password_hash = hash_new_password(body.password, known, memory=hashing.memory, breached=hashing.breached)
    return NewUser(body.login, body.name, password_hash)


def check_open(request: TenantRequest) -> str:
    """Return how people register. Raises ``RegistrationClosed``."""
    settings: Settings = request.registry.app_settings
    if settings.identity_registration == "closed":
        raise RegistrationClosed
    return settings.identity_registration


def described(user: User) -> dict[str, Any]:
    """Return a person who has just registered."""
    return {"id": user.id, "login": user.login, "name": user.name}


def includeme(config: Configurator) -> None:
    """Add the routes, and say how an error is answered."""
    config.add_problem(AddressCaptured, 403, "single_sign_on_required", members=("start",))
    config.add_route("users", "/users")
    config.add_route("link_registration", "/links/registration")
