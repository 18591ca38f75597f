"""Sign a person in by the identity provider of a tenant: the authorization code flow with PKCE.

What a sign-in needs to end is in a cookie of the browser that has begun it: the state, the nonce and the code verifier
(RFC 9700, section 2.1). So another browser cannot end it, nothing is stored for whoever only begins, and a code that
somebody has stolen is of no use without the verifier.
"""

import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from hmac import compare_digest
from typing import Any, Final
from uuid import UUID

import orjson
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.credentials.post import Post
from tenantapp.federation.errors import SingleSignOnFailed
from tenantapp.federation.id_tokens import read_id_token, second_factor_seen
from tenantapp.federation.issuers import ClientOf, Issuers, Metadata
from tenantapp.federation.models import IdentityProvider
from tenantapp.federation.people import Vouched, find_or_make, vouched
from tenantapp.identity import web_sessions
from tenantapp.identity.models import Tenant, User
from tenantapp.identity.web_sessions import Lifetimes
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import ACTOR, Access, Actor, Person

LASTS: Final = 600  # seconds between the beginning and the end of a sign-in
SCOPES: Final = "openid profile email"
PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]{0,499}")  # of our own page: no other host, no backslash, no control
COOKIE_LENGTH: Final = 4000  # characters
FACTOR: Final = "sso"
SECOND_FACTOR: Final = "sso_factor"


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that has begun in a browser. ``links`` is the web session whose person wants to be linked."""

    provider: str
    state: str
    nonce: str
    verifier: str
    to: str
    until: int
    links: str | None = None

    def written(self) -> str:
        """Return the value of the cookie."""
        return urlsafe_b64encode(orjson.dumps(asdict(self))).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Proved:
    """What the provider has proved: who the person is, and whether it has seen a second factor."""

    who: Vouched
    second_factor: bool


def read_begun(value: str | None) -> Begun:
    """Return the sign-in that a cookie has. Raises ``SingleSignOnFailed``."""
    try:
        text = value or ""
        begun = Begun(**orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4))))
        if len(text) > COOKIE_LENGTH or begun.until < utcnow().timestamp() or not is_own_path(begun.to):
            raise ValueError
        UUID(begun.provider)
    except (ValueError, TypeError, AttributeError):
        raise SingleSignOnFailed("This sign-in did not begin in this browser, or took too long. Begin again.") from None
    return begun


def is_own_path(path: object) -> bool:
    """Return whether a browser that is sent to this path stays on our own page."""
    return isinstance(path, str) and PATH.fullmatch(path) is not None


def begin(
    provider: IdentityProvider, metadata: Metadata, redirect_uri: str, to: str, links: UUID | None = None
) -> tuple[str, Begun]:
    """Return the address at the provider where the person signs in, and what the browser keeps meanwhile."""
    begun = Begun(
        provider=str(provider.id),
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        to=to,
        until=int(utcnow().timestamp()) + LASTS,
        links=None if links is None else str(links),
    )
    address = prepare_grant_uri(
        metadata.authorization_endpoint,
        provider.client_id,
        "code",
        redirect_uri=redirect_uri,
        scope=SCOPES,
        state=begun.state,
        nonce=begun.nonce,
        code_challenge=create_s256_code_challenge(begun.verifier),
        code_challenge_method="S256",
    )
    return address, begun


def code_in(answer: Mapping[str, str], begun: Begun, metadata: Metadata) -> str:
    """Return the authorization code in what the browser has brought back. Raises ``SingleSignOnFailed``.

    It is the answer to what this browser has begun, and by this provider: RFC 9207 keeps one from posing as another.
    """
    if not compare_digest(answer.get("state", "").encode(), begun.state.encode()):
        raise SingleSignOnFailed("This sign-in did not begin in this browser, or took too long. Begin again.")
    issuer = answer.get("iss")
    if issuer != metadata.issuer and (issuer is not None or metadata.sends_issuer):
        raise SingleSignOnFailed("The answer is not that of the identity provider of this tenant.")
    if "error" in answer or not answer.get("code"):
        raise SingleSignOnFailed("The identity provider did not sign you in.")
    return answer["code"]


def prove(
    issuers: Issuers, provider: IdentityProvider, client: ClientOf, code: str, redirect_uri: str, begun: Begun
) -> Proved:
    """Exchange the code for what the provider says of the person, and check it. No session is open meanwhile.

    Raises ``SingleSignOnFailed``, ``IdentityProviderUnavailable`` and ``TooManyConversations``.
    """
    given = issuers.redeem(provider.issuer, client, code, redirect_uri, begun.verifier)
    access_token = given.get("access_token")
    access_token = access_token if isinstance(access_token, str) and access_token.isascii() else None
    claims = read_id_token(
        given.get("id_token"),
        lambda again: issuers.keys(provider.issuer, again=again),
        issuer=provider.issuer,
        client_id=provider.client_id,
        nonce=begun.nonce,
        access_token=access_token,
        now=int(utcnow().timestamp()),
    )
    return Proved(
        vouched(_with_userinfo(issuers, provider, claims, access_token), provider.groups_claim),
        second_factor_seen(claims, provider.factor_values),
    )


def _with_userinfo(
    issuers: Issuers, provider: IdentityProvider, claims: dict[str, Any], access_token: str | None
) -> Mapping[str, Any]:
    """Return the claims with those that the provider keeps for its userinfo endpoint. The ID token prevails."""
    if access_token is None or {"name", "email", provider.groups_claim} <= claims.keys():
        return claims
    more = issuers.userinfo(provider.issuer, access_token)
    # OpenID Connect Core 1.0, section 5.3.2.
    if more and more.get("sub") != claims["sub"]:
        raise SingleSignOnFailed("The identity provider speaks of two people.")
    return {**more, **claims}


def check_linking(begun: Begun, access: Access | None, fresh: int) -> Access | None:
    """Return the access of the person who has begun to link, if this browser is still theirs, or None of a sign-in.

    They proved who they are within ``fresh`` seconds before they began. What they began is in a cookie, which somebody
    who has their session can write as well: so it is checked again. Raises ``SingleSignOnFailed``.
    """
    if begun.links is None:
        return None
    if access is None or not access.owns_account or str(access.web_session_id) != begun.links:
        raise SingleSignOnFailed("You are no longer signed in as the person who began this. Begin again.")
    proved_at, earliest = access.authenticated_at, utcnow() - timedelta(seconds=fresh + LASTS)
    if access.impersonation is not None or proved_at is None or proved_at < earliest:
        raise SingleSignOnFailed("It is too long ago that you proved who you are. Begin again.")
    return access


def sign_in(
    session: Session,
    provider_id: UUID,
    proved: Proved,
    lifetimes: Lifetimes,
    user_agent: str | None,
    *,
    linking: Access | None = None,
    post: Post,
) -> tuple[str, UUID]:
    """Start a web session in the provider's tenant. Return its token, and whose it is.

    ``linking`` is the access of a person who wants the provider to vouch for them from now on. The first time, it has
    not vouched for them before: so the session is as fresh as theirs was. Whoever was there before the provider knew
    them is told by ``post``.

    Raises ``SingleSignOnFailed``, also if the provider was exchanged since the sign-in began, and ``NoRole``.
    """
    provider = session.scalar(select(IdentityProvider).where(IdentityProvider.id == provider_id))
    if provider is None:
        raise SingleSignOnFailed("The identity provider of the tenant is another one now. Begin again.")
    tenant = session.get_one(Tenant, provider.tenant_id)
    identity = find_or_make(session, tenant, provider, proved.who, link_to=linking.person.id if linking else None)
    is_new, identity.signed_in_at = identity.signed_in_at is None, utcnow()
    _act_as(session, identity.user)
    token = web_sessions.new_token()
    factors = [FACTOR, *([SECOND_FACTOR] if proved.second_factor else [])]
    person = Person(identity.user.id, identity.user.login, identity.user.name)
    proved_at = linking.authenticated_at if linking is not None and is_new else None
    session.flush()  # the person may be new
    web_sessions.start(
        *(session, token, person, tenant, lifetimes, user_agent, factors),
        identity_provider_id=provider.id,
        authenticated_at=proved_at,
    )
    if is_new and identity.user.identity_provider_id != provider.id:
        values = {"login": identity.user.login, "provider": provider.name, "tenant": tenant.name}
        post.notice(session, identity.user.mail_address, "provider-linked", **values)
    session.flush()
    return token, identity.user_id


def _act_as(session: Session, user: User) -> None:
    """Let the entries that follow have the person as their actor: until now nobody was signed in."""
    actor: Actor | None = session.info.get(ACTOR)
    if actor is not None:
        session.info[ACTOR] = Actor(user.login, user.id, actor.request_id, actor.address, None, user.name)
