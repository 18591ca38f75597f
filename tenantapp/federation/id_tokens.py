"""Check what an identity provider says of a person: its ID token (OpenID Connect Core 1.0, section 3.1.3.7)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tenantapp.federation.errors import SingleSignOnFailed
from tenantapp.federation.models import SUBJECT_LENGTH

# Only signatures with a key that the provider alone has (RFC 7518, RFC 8037). "none" and HMAC are none of these.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
SKEW: Final = 60  # seconds by which the clocks may differ
TOKEN_LENGTH: Final = 100_000  # characters
KeysOf = Callable[[bool], KeySet]
"""Returns the keys of the provider; with True, read again."""


def read_id_token(
    text: object, keys_of: KeysOf, *, issuer: str, client_id: str, nonce: str, access_token: str | None, now: int
) -> dict[str, Any]:
    """Return the claims of an ID token, each of which is checked that says for whom, by whom and when it was made.

    ``now`` is in seconds since 1970. Raises ``SingleSignOnFailed``.
    """
    if not isinstance(text, str) or len(text) > TOKEN_LENGTH:
        raise SingleSignOnFailed("The identity provider sent no ID token.")
    try:
        token = _verified(text, keys_of)
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}},
            params={"nonce": nonce, "client_id": client_id, "access_token": access_token},
        )
        claims.validate(now=now, leeway=SKEW)
    except (JoseError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise SingleSignOnFailed(f"The ID token of the identity provider is refused: {_told(error)}.") from error
    return _usable(dict(claims))


def second_factor_seen(claims: Mapping[str, Any], values: str) -> bool:
    """Return whether ``acr`` is one of the values, or ``amr`` has one. ``values`` are separated by spaces."""
    methods = claims.get("amr")
    said = [claims.get("acr"), *(methods if isinstance(methods, list) else ())]
    return any(isinstance(each, str) and each in values.split() for each in said)


def _verified(text: str, keys_of: KeysOf) -> jwt.Token:
    """Return the token, its signature checked. An unknown key is looked for once more. Raises ``JoseError``."""
    header = jws.extract_compact(text.encode()).headers()
    candidates = _candidates(keys_of(False), header) or _candidates(keys_of(True), header)
    if not candidates:
        raise ValueError("it is signed with an unknown key")
    *others, last = candidates
    for key in others:
        try:
            return jwt.decode(text, key, algorithms=ALGORITHMS)
        except JoseError:
            continue
    return jwt.decode(text, last, algorithms=ALGORITHMS)


def _candidates(keys: KeySet, header: Mapping[str, Any]) -> list[Any]:
    """Return the keys that the header of a token may mean: the one with its ``kid``, or all for signatures."""
    kid = header.get("kid")
    signing = [key for key in keys.keys if key.get("use") in (None, "sig")]
    return signing if kid is None else [key for key in signing if key.get("kid") == kid]


def _usable(claims: dict[str, Any]) -> dict[str, Any]:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LENGTH or "\0" in subject:
        raise SingleSignOnFailed("The ID token of the identity provider names no person.")
    return claims


def _told(error: Exception) -> str:
    claim = getattr(error, "claim", None)
    reason = getattr(error, "description", None) or getattr(error, "error", None) or str(error) or type(error).__name__
    return f"{reason}".rstrip(".") if claim is None else f"{claim}: {reason}".rstrip(".")
