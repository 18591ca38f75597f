"""Read what an identity provider publishes, and talk to it (OpenID Connect Discovery 1.0, RFC 6749, RFC 7636).

A provider's address comes from a tenant's administrator, so each request goes through the checks of ``outgoing``: to
public addresses only, without redirects, bounded in time and size. Few threads of a process wait for providers at once,
and one that has just failed is not asked again for some seconds. So a provider that is down or slow holds up nobody
else.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock
from typing import Any, Final
from urllib.parse import quote_plus

import orjson
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from authlib.oidc.discovery import get_well_known_url
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tenantapp.federation.errors import IdentityProviderUnavailable, SingleSignOnFailed, TooManyConversations
from tenantapp.outgoing.addresses import Addresses
from tenantapp.outgoing.errors import OutgoingError, TargetRefused
from tenantapp.outgoing.sending import Received, exchange

MOST_READ: Final = 512 * 1024  # bytes of an answer
KEPT: Final = 3600.0  # seconds for which what a provider publishes is used
KEYS_AGAIN: Final = 30.0  # seconds between two readings of the keys because of an unknown one
PAUSE: Final = 5.0  # seconds after a failure in which the provider is not asked
MOST_ISSUERS: Final = 500  # kept by a process
MOST_KEYS: Final = 50
BASIC: Final = "client_secret_basic"
POST: Final = "client_secret_post"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What we use of a provider's metadata. ``sends_issuer`` says that it names itself in its answer (RFC 9207)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    sends_issuer: bool
    auth_method: str


@dataclass(frozen=True, slots=True)
class ClientOf:
    """What we are to a provider. A client without a secret is a public one, which PKCE alone protects."""

    client_id: str
    secret: str | None


@dataclass(slots=True)
class _Kept:
    """A provider as it is known: what it published, when that was read, and until when it is left alone."""

    metadata: Metadata | None = None
    keys: KeySet | None = None
    read_at: float = 0.0
    keys_read_at: float = 0.0
    rest_until: float = 0.0
    failure: str = ""


class Issuers:
    """Knows the providers that were used lately. ``seconds`` bounds each request, ``most`` the requests at once."""

    def __init__(
        self, addresses: Addresses, *, seconds: float, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.addresses = addresses
        self._seconds, self._clock = seconds, clock
        self._places = BoundedSemaphore(most)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = Lock()

    def metadata(self, issuer: str) -> Metadata:
        """Return what a provider publishes. Raises ``IdentityProviderUnavailable`` and ``TooManyConversations``."""
        kept = self._of(issuer)
        if kept.metadata is None or self._clock() - kept.read_at > KEPT:
            document = self._get(kept, get_well_known_url(issuer, external=True))
            with self._failing(kept):
                kept.metadata = self._checked(issuer, document)
            kept.read_at = self._clock()
        return kept.metadata

    def keys(self, issuer: str, *, again: bool = False) -> KeySet:
        """Return a provider's keys. With ``again`` they are read anew, unless they were a moment ago.

        Raises ``IdentityProviderUnavailable`` and ``TooManyConversations``.
        """
        metadata, kept = self.metadata(issuer), self._of(issuer)
        age = self._clock() - kept.keys_read_at
        if kept.keys is None or age > KEPT or (again and age > KEYS_AGAIN):
            document = self._get(kept, metadata.jwks_uri)
            with self._failing(kept):
                kept.keys = _key_set(document)
            kept.keys_read_at = self._clock()
        return kept.keys

    def redeem(self, issuer: str, client: ClientOf, code: str, redirect_uri: str, verifier: str) -> Mapping[str, Any]:
        """Return what the provider gives for an authorization code: ``id_token`` and ``access_token``, unchecked.

        Raises ``SingleSignOnFailed`` if it refuses the code, ``IdentityProviderUnavailable``, ``TooManyConversations``.
        """
        metadata, kept = self.metadata(issuer), self._of(issuer)
        body = prepare_token_request("authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=verifier)
        # RFC 6749, section 2.3.1: both are form-encoded before they are a user name and a password.
        encoded = quote_plus if metadata.auth_method == BASIC else str
        method = metadata.auth_method if client.secret else "none"
        authenticated = ClientAuth(encoded(client.client_id), encoded(client.secret or ""), method)
        _, headers, body = authenticated.prepare("POST", metadata.token_endpoint, {}, body)
        headers |= {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        received = self._exchange(kept, "POST", metadata.token_endpoint, body.encode(), headers)
        document = _object(received)
        if 400 <= received.status < 500:
            raise SingleSignOnFailed(_refused(document))
        with self._failing(kept):
            return _required(received, document)

    def userinfo(self, issuer: str, access_token: str) -> Mapping[str, Any]:
        """Return what the provider says of the person whose access token this is, besides the ID token.

        Raises ``IdentityProviderUnavailable`` and ``TooManyConversations``.
        """
        metadata, kept = self.metadata(issuer), self._of(issuer)
        if metadata.userinfo_endpoint is None:
            return {}
        return self._get(kept, metadata.userinfo_endpoint, {"Authorization": f"Bearer {access_token}"})

    def _of(self, issuer: str) -> _Kept:
        with self._lock:
            kept = self._kept.setdefault(issuer, _Kept())
            self._kept.move_to_end(issuer)
            if len(self._kept) > MOST_ISSUERS:
                self._kept.popitem(last=False)
            return kept

    def _get(self, kept: _Kept, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        received = self._exchange(kept, "GET", url, None, {"Accept": "application/json", **(headers or {})})
        with self._failing(kept):
            return _required(received, _object(received))

    def _exchange(self, kept: _Kept, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Received:
        if self._clock() < kept.rest_until:
            raise IdentityProviderUnavailable(kept.failure)
        if not self._places.acquire(blocking=False):
            raise TooManyConversations
        try:
            with self._failing(kept):
                received = exchange(self.addresses, method, url, body, headers, seconds=self._seconds, most=MOST_READ)
                if received.status >= 500:
                    raise ValueError(f"it answered {received.status}")
                return received
        finally:
            self._places.release()

    @contextmanager
    def _failing(self, kept: _Kept) -> Iterator[None]:
        """Raise ``IdentityProviderUnavailable`` for what is wrong, and leave the provider alone for a while."""
        try:
            yield
        except (OutgoingError, JoseError, ValueError, KeyError, TypeError) as error:
            told = str(error).rstrip(".") if isinstance(error, OutgoingError | ValueError) else type(error).__name__
            kept.failure = f"The identity provider cannot be used: {told}."
            if not isinstance(error, TargetRefused):
                kept.rest_until = self._clock() + PAUSE
            raise IdentityProviderUnavailable(kept.failure) from error

    def _checked(self, issuer: str, document: Mapping[str, Any]) -> Metadata:
        """Return the metadata. Raises ``ValueError``, ``KeyError``, ``TypeError`` and ``TargetRefused``."""
        if document.get("issuer") != issuer:
            # OpenID Connect Discovery 1.0, section 4.3. Otherwise one provider could speak for another.
            raise ValueError(f"it calls itself {str(document.get('issuer'))[:200]!r}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            self.addresses.read(document[name])
        for name in ("userinfo_endpoint", "end_session_endpoint"):
            if document.get(name) is not None:
                self.addresses.read(document[name])
        methods = document.get("token_endpoint_auth_methods_supported") or [BASIC]
        return Metadata(
            issuer=issuer,
            authorization_endpoint=document["authorization_endpoint"],
            token_endpoint=document["token_endpoint"],
            jwks_uri=document["jwks_uri"],
            userinfo_endpoint=document.get("userinfo_endpoint"),
            end_session_endpoint=document.get("end_session_endpoint"),
            sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
            auth_method=BASIC if BASIC in methods else POST,
        )


def _object(received: Received) -> dict[str, Any] | None:
    try:
        document = orjson.loads(received.body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _required(received: Received, document: dict[str, Any] | None) -> dict[str, Any]:
    if received.status != 200 or document is None:
        raise ValueError(f"it answered {received.status}, or no JSON object")
    return document


def _key_set(document: Mapping[str, Any]) -> KeySet:
    keys = document["keys"]
    if len(keys) > MOST_KEYS:
        raise ValueError(f"it has more than {MOST_KEYS} keys")
    return KeySet.import_key_set({"keys": keys})


def _refused(document: Mapping[str, Any] | None) -> str:
    code = (document or {}).get("error")
    if code in ("invalid_client", "unauthorized_client"):
        return "The identity provider does not know this application: its client id or secret is wrong."
    return "The identity provider refused the sign-in. Begin again."
