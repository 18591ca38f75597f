"""Single sign-on over HTTP: a browser goes to the identity provider of a tenant, and comes back signed in.

A browser comes back by GET, so the web session is written in a transaction of its own. No connection of the user
database is held while the provider is asked.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from authlib.common.urls import add_params_to_uri
from pydantic import Field
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound, HTTPSeeOther
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tenantapp.account import answers
from tenantapp.account.guarding import device_cookie
from tenantapp.account.post import post_of
from tenantapp.api.json import Body
from tenantapp.api.query import NoQuery, bad_query
from tenantapp.api.views import api_view
from tenantapp.content import example
from tenantapp.federation import domains, providers, signing_in
from tenantapp.federation.errors import FederationError, NoIdentityProvider
from tenantapp.federation.models import IdentityProvider
from tenantapp.identity import web_sessions
from tenantapp.identity.encrypted import secrets_of
from tenantapp.identity.errors import AlreadyExists, InvalidValue
from tenantapp.identity.models import Tenant
from tenantapp.identity.names import SLUG
from tenantapp.identity.permissions import Permission
from tenantapp.identity.policy import cookie_token
from tenantapp.sql.errors import TransactionConflict
from tenantapp.tenancy.access import ACTOR
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.request import TenantRequest

PUBLIC: Final = NO_PERMISSION_REQUIRED
SECURE_COOKIE: Final = "__Host-tenantapp-sso"
PLAIN_COOKIE: Final = "tenantapp-sso"
START: Final = "/"
TRIES: Final = 3
MOST_GIVEN: Final = 4000  # characters of a parameter that a provider gives back
TAG: Final = "single-sign-on"


class SingleSignOnQuery(NoQuery):
    """The query parameters of ``GET /single-sign-on``: the slug of a tenant, or the domain of a mail address."""

    tenant: str | None = Field(None, max_length=100)
    domain: str | None = Field(None, max_length=1000)


class Link(Body, json_schema_extra=example({"tenant": "acme", "to": "/account"})):
    """The body of ``POST /session/single-sign-on``. ``to`` is the path of the page that follows."""

    tenant: str = Field(max_length=1000)
    to: str = Field(START, max_length=500)


@api_view(
    "single_sign_on",
    "GET",
    permission=PUBLIC,
    query=SingleSignOnQuery,
    answer=answers.SingleSignOn,
    tag=TAG,
    problems=("not_found",),
)
def read_single_sign_on(request: TenantRequest) -> dict[str, Any]:
    """Return where a browser signs in by the identity provider of a tenant, before anybody is signed in.

    The tenant is named by its slug, or by a domain that it has verified.
    """
    tenant, provider = _named(request.user_session, request.checked_query)
    return {
        "tenant": tenant.slug,
        "name": provider.name,
        "start": f"/sso/{tenant.slug}/start",
        "required": tenant.single_sign_on_required,
    }


def _named(session: Session, query: SingleSignOnQuery) -> tuple[Tenant, IdentityProvider]:
    if (query.tenant is None) == (query.domain is None):
        raise bad_query("tenant", "Name either a tenant or a domain")
    if query.domain is not None:
        try:
            return domains.provider_of(session, domains.check_name(query.domain))
        except InvalidValue:
            raise NoIdentityProvider from None
    if not SLUG.fullmatch(query.tenant or ""):
        raise NoIdentityProvider
    return providers.provider_at(session, query.tenant or "")


@api_view(
    "session_single_sign_on",
    "POST",
    permission=Permission.OWN_ACCOUNT,
    body=Link,
    fresh=True,
    answer=answers.Elsewhere,
    headers=("Set-Cookie",),
    tag=TAG,
    problems=("not_found", "identity_provider_unavailable"),
)
def begin_to_link(request: TenantRequest) -> dict[str, Any]:
    """Have the identity provider of a tenant vouch for the person from now on. The browser goes to ``location``."""
    body: Link = request.checked_body
    slug = body.tenant if SLUG.fullmatch(body.tenant) else ""
    location, cookie = _begin(request, slug, body.to, request.access.web_session_id)
    request.response.headerlist.append(cookie)
    return {"location": location}


@view_config(route_name="sso_start", request_method="GET", permission=PUBLIC)
def start(request: TenantRequest) -> Response:
    """Send the browser to the identity provider of a tenant. ``to`` is the path of the page that follows."""
    return _shown(request, lambda: _to_provider(request))


@view_config(route_name="sso_callback", request_method="GET", permission=PUBLIC)
def come_back(request: TenantRequest) -> Response:
    """Start the web session of a person for whom the provider vouches, and send the browser to the page."""
    return _shown(request, lambda: _signed_in(request))


@view_config(route_name="sso_sign_out", request_method="GET", permission=PUBLIC)
def sign_out_there(request: TenantRequest) -> Response:
    """Send the browser to where the provider signs people out, if it has such a place, and else to the page.

    OpenID Connect RP-Initiated Logout 1.0. Our own session is ended by ``DELETE /session`` before.
    """
    return _shown(request, lambda: _to_end(request))


def _to_provider(request: TenantRequest) -> Response:
    wanted = request.GET.get("to", START)
    location, cookie = _begin(request, request.matchdict["slug"], wanted, None)
    return _redirect(HTTPFound, location, [cookie])


def _begin(request: TenantRequest, slug: str, to: str, links: UUID | None) -> tuple[str, tuple[str, str]]:
    _, provider = _provider(request, slug)
    metadata = request.registry.issuers.metadata(provider.issuer)
    own = to if signing_in.is_own_path(to) else START
    address, begun = signing_in.begin(provider, metadata, request.route_url("sso_callback"), own, links)
    return address, _cookie(request, begun.written(), signing_in.LASTS)


def _signed_in(request: TenantRequest) -> Response:
    begun = signing_in.read_begun(_cookie_value(request))
    provider = _provider_of_id(request, UUID(begun.provider))
    registry = request.registry
    given = {name: value for name, value in request.GET.items() if len(value) <= MOST_GIVEN}
    code = signing_in.code_in(given, begun, registry.issuers.metadata(provider.issuer))
    client = providers.client_of(provider, secrets_of(registry.app_settings))
    proved = signing_in.prove(registry.issuers, provider, client, code, request.route_url("sso_callback"), begun)
    linking = signing_in.check_linking(begun, request.identity, registry.app_settings.session_fresh)

    def sign_in(session: Session) -> list[tuple[str, str]]:
        session.info[ACTOR] = request.actor
        if old_token := cookie_token(request):
            web_sessions.end(session, old_token)
        token, user_id = signing_in.sign_in(
            session,
            provider.id,
            proved,
            registry.lifetimes,
            request.user_agent,
            linking=linking,
            post=post_of(request),
        )
        device = device_cookie(request, session, user_id, by_provider=True)
        return [*registry.security_policy.remember(request, token), device]

    headers = _in_a_transaction(registry.user_db, sign_in)
    return _redirect(HTTPSeeOther, begun.to, [*headers, _cookie(request, "", 0)])


def _in_a_transaction(user_db: DBFactory, write: Callable[[Session], Any]) -> Any:
    """Return what ``write`` returns in a transaction. It is tried again if another one was in the way.

    The whole request cannot be tried again: its code is used up. Two visits at once may make the same person.
    """
    for _ in range(TRIES - 1):
        with suppress(TransactionConflict, IntegrityError, AlreadyExists), user_db.begin() as session:
            return write(session)
    with user_db.begin() as session:
        return write(session)


def _to_end(request: TenantRequest) -> Response:
    _, provider = _provider(request, request.matchdict["slug"])
    endpoint = request.registry.issuers.metadata(provider.issuer).end_session_endpoint
    if endpoint is None:
        return _redirect(HTTPFound, START, [])
    back = [("client_id", provider.client_id), ("post_logout_redirect_uri", request.route_url("home"))]
    return _redirect(HTTPFound, add_params_to_uri(endpoint, back), [])


def _provider(request: TenantRequest, slug: str) -> tuple[UUID, IdentityProvider]:
    with request.registry.user_db.begin(read_only=True) as session:
        tenant, provider = providers.provider_at(session, slug)
        session.expunge_all()
    return tenant.id, provider


def _provider_of_id(request: TenantRequest, provider_id: UUID) -> IdentityProvider:
    with request.registry.user_db.begin(read_only=True) as session:
        provider: IdentityProvider | None = session.get(IdentityProvider, provider_id)
        session.expunge_all()
    if provider is None:
        raise NoIdentityProvider
    return provider


def _shown(request: TenantRequest, answer: Callable[[], Response]) -> Response:
    """Return the answer. Of an error, a person at the page is shown its sentence there; programs get the problem."""
    try:
        return answer()
    except FederationError as error:
        offers = dict(request.accept.acceptable_offers(["text/html", "application/json"]))
        if getattr(request.registry, "page", None) is None or offers.get("text/html", 0) <= offers.get(
            "application/json", 0
        ):
            raise
        code = request.registry.problems.of(error).code
        return _redirect(HTTPSeeOther, add_params_to_uri(START, [("problem", code)]), [_cookie(request, "", 0)])


def _redirect(kind: Any, location: str, headers: list[tuple[str, str]]) -> Response:
    # The address has a state or a code: no cache keeps it, and no other page is told of it.
    quiet = [("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer")]
    answer: Response = kind(location, headers=[*quiet, *headers])
    return answer


def _cookie_name(request: TenantRequest) -> str:
    return SECURE_COOKIE if request.scheme == "https" else PLAIN_COOKIE


def _cookie_value(request: TenantRequest) -> str | None:
    # Only our own cookie is read: other cookies of the request may be undecodable.
    pattern = rf"(?:^|;)\s*{_cookie_name(request)}=([A-Za-z0-9_-]+)\s*(?:;|$)"
    found = re.search(pattern, request.environ.get("HTTP_COOKIE", ""))
    return found[1] if found else None


def _cookie(request: TenantRequest, value: str, seconds: int) -> tuple[str, str]:
    # Lax: the browser comes back from another site, and sends the cookie with such a visit of a page.
    secure = "; Secure" if request.scheme == "https" else ""
    attributes = f"Path=/; HttpOnly; SameSite=Lax{secure}; Max-Age={seconds}"
    return "Set-Cookie", f"{_cookie_name(request)}={value}; {attributes}"


def includeme(config: Configurator) -> None:
    """Add the routes of the API."""
    config.add_route("single_sign_on", "/single-sign-on")
    config.add_route("session_single_sign_on", "/session/single-sign-on")


def add_browser_routes(config: Configurator) -> None:
    """Add the routes that browsers visit, outside the API."""
    config.add_route("sso_callback", "/sso/callback")
    config.add_route("sso_start", f"/sso/{{slug:{SLUG.pattern}}}/start")
    config.add_route("sso_sign_out", f"/sso/{{slug:{SLUG.pattern}}}/sign-out")
