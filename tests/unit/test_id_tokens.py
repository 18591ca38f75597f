"""ID tokens of identity providers: what is wrong with one is a refusal, and never an error of ours."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from authlib.oidc.core.util import create_half_hash
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from tenantapp.federation.errors import SingleSignOnFailed
from tenantapp.federation.id_tokens import SKEW, read_id_token, second_factor_seen

NOW = 1_800_000_000
ISSUER = "https://login.example.com"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
CURVE = ECKey.generate_key("P-256", {"kid": "curve"})
PUBLISHED = {"keys": [RSA.as_dict(private=False), CURVE.as_dict(private=False)]}
CLAIMS = {"iss": ISSUER, "sub": "carla", "aud": "us", "exp": NOW + 300, "iat": NOW, "nonce": "n"}


def keys(again: bool = False) -> KeySet:
    return KeySet.import_key_set(PUBLISHED)


def written(claims: dict[str, Any], key: Any = RSA, alg: str = "RS256", kid: str | None = "rsa") -> str:
    header = {"alg": alg} if kid is None else {"alg": alg, "kid": kid}
    return jwt.encode(header, {k: v for k, v in claims.items() if v is not None}, key, algorithms=[alg])


def urlsafe(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def read(text: object, keys_of: Callable[[bool], KeySet] = keys, access_token: str | None = None) -> dict[str, Any]:
    return read_id_token(text, keys_of, issuer=ISSUER, client_id="us", nonce="n", access_token=access_token, now=NOW)


def test_what_is_right_is_read() -> None:
    for text in (
        written(CLAIMS),
        written(CLAIMS, kid=None),
        written(CLAIMS, CURVE, "ES256", "curve"),
        written({**CLAIMS, "aud": ["us"]}),
        written({**CLAIMS, "aud": ["us", "others"], "azp": "us"}),
        written({**CLAIMS, "exp": NOW - SKEW + 5}),
        written({**CLAIMS, "iat": NOW + SKEW - 5}),
    ):
        assert read(text)["sub"] == "carla"
    hashed = {**CLAIMS, "at_hash": create_half_hash("a token", "RS256").decode()}
    assert read(written(hashed), access_token="a token")["sub"] == "carla"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://other.example.com"},
        {"iss": None},
        {"aud": "others"},
        {"aud": ["others"]},
        {"aud": None},
        {"aud": ["us", "others"]},
        {"azp": "others"},
        {"exp": NOW - SKEW - 5},
        {"exp": "soon"},
        {"exp": None},
        {"iat": NOW + SKEW + 60},
        {"iat": None},
        {"nbf": NOW + SKEW + 60},
        {"nonce": "other"},
        {"nonce": None},
        {"nonce": ["n"]},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "a\0b"},
        {"at_hash": "AAAA"},
        {"at_hash": 5},
        {"amr": "pwd"},
    ],
    ids=str,
)
def test_a_wrong_claim_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(SingleSignOnFailed):
        read(written({**CLAIMS, **changed}), access_token="a token")


def test_only_signatures_of_the_provider_count() -> None:
    hmac_head = urlsafe(b'{"alg":"HS256","kid":"rsa"}')
    stranger = RSAKey.generate_key(2048, {"kid": "rsa"})
    good = written(CLAIMS)
    head, body, signature = good.split(".")
    none = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}
    for text in (
        written(CLAIMS, stranger),
        # The public key, which everybody has, as the secret of an HMAC.
        f"{hmac_head}.{body}.{urlsafe(hmac.digest(RSA.as_pem(private=False), f'{hmac_head}.{body}'.encode(), sha256))}",
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{head}.{written({**CLAIMS, 'sub': 'ada'}).split('.')[1]}.{signature}",
        f"{head}.{body}.{signature[:-8]}AAAAAAAA",
        *("", "a.b.c", f"{head}.{body}", "x" * 200_000, f"{good}.a.b"),
        *(None, 5, {"sub": "carla"}),
    ):
        with pytest.raises(SingleSignOnFailed):
            read(text)


def test_an_unknown_key_is_looked_for_once_more() -> None:
    new = RSAKey.generate_key(2048, {"kid": "new"})
    asked: list[bool] = []

    def keys_of(again: bool) -> KeySet:
        asked.append(again)
        return KeySet.import_key_set({"keys": [*PUBLISHED["keys"], *([new.as_dict(private=False)] if again else [])]})

    assert read(written(CLAIMS, new, kid="new"), keys_of)["sub"] == "carla"
    assert asked == [False, True]
    with pytest.raises(SingleSignOnFailed, match="unknown key"):
        read(written(CLAIMS, new, kid="never"), keys_of)


def test_a_second_factor_is_what_the_administrator_has_named() -> None:
    for claims in ({"amr": ["pwd", "mfa"]}, {"acr": "urn:strong"}):
        assert second_factor_seen(claims, "mfa urn:strong")
        assert not second_factor_seen(claims, "")
    for claims in ({"amr": "mfa"}, {"amr": [["mfa"], None]}, {"acr": ["mfa"]}, {}):
        assert not second_factor_seen(claims, "mfa")
