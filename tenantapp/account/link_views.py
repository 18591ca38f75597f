"""One-time links over HTTP: the page posts their tokens. Who has a link need not be signed in, and is not by it."""

from pydantic import Field
from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from tenantapp.account.account_views import hashing_of
from tenantapp.account.post import post_of
from tenantapp.api.json import Body
from tenantapp.api.views import api_view
from tenantapp.content import example
from tenantapp.credentials import addresses, password_changes
from tenantapp.credentials.one_time_links import Purpose
from tenantapp.identity.policy import refuse_tokens
from tenantapp.tenancy.request import TenantRequest

TOKEN = "kx3mZ1b7J0c9Qw5tR8uY2vN4aS6dF1gH3jK5lP7oE0i"  # noqa: S105 - an example
PROBLEMS = ("link_not_valid", "token_not_allowed")


class UsedLink(Body, json_schema_extra=example({"token": TOKEN})):
    """The token of a link: what is behind the ``#`` of its address."""

    token: str = Field(max_length=1000)


class PasswordByLink(UsedLink, json_schema_extra=example({"token": TOKEN, "password": "three otters juggling"})):
    """The token of a link, and a new password."""

    password: str = Field(max_length=10_000)


@api_view(
    "link_confirm_address",
    "POST",
    permission=NO_PERMISSION_REQUIRED,
    body=UsedLink,
    writes="user",
    answer=None,
    problems=PROBLEMS,
)
def confirm_address(request: TenantRequest) -> Response:
    """Confirm the mail address that the link was sent to."""
    refuse_tokens(request)
    addresses.confirm_address(request.user_session, request.checked_body.token)
    return Response(status=204)


@api_view(
    "link_reset_password",
    "POST",
    permission=NO_PERMISSION_REQUIRED,
    body=PasswordByLink,
    writes="user",
    answer=None,
    problems=PROBLEMS,
)
def reset_password(request: TenantRequest) -> Response:
    """Set a new password in the place of a lost one. All sessions end; second factors stay. Nobody is signed in."""
    return set_password(request, Purpose.RESET_PASSWORD)


@api_view(
    "link_first_password",
    "POST",
    permission=NO_PERMISSION_REQUIRED,
    body=PasswordByLink,
    writes="user",
    answer=None,
    problems=PROBLEMS,
)
def first_password(request: TenantRequest) -> Response:
    """Set the first password of an account that an operator made. The address of the link is confirmed by it."""
    return set_password(request, Purpose.FIRST_PASSWORD)


def set_password(request: TenantRequest, purpose: Purpose) -> Response:
    """Set the password of the link's person. A password that is refused leaves the link as it is."""
    refuse_tokens(request)
    body: PasswordByLink = request.checked_body
    change = password_changes.prepare_by_link(
        request.registry.user_db, purpose, body.token, body.password, hashing_of(request)
    )
    password_changes.set_by_link(request.user_session, purpose, body.token, change, post_of(request))
    return Response(status=204)


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("link_confirm_address", "/links/confirm-address")
    config.add_route("link_reset_password", "/links/reset-password")
    config.add_route("link_first_password", "/links/first-password")
