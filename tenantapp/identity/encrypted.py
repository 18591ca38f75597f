"""Store values encrypted that the program itself has to read again, such as the secret of an identity provider.

The key is derived from the setting ``tenancy.secret`` (HKDF, RFC 5869), another one for each purpose. The stored text
says how it was written: ``v1:`` is encrypted with AES-256-GCM, ``v0:`` is in clear, for an installation without the
setting, which has SQLite only. So the setting may be added later.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from contextlib import suppress
from os import urandom
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tenantapp.identity.errors import IdentityError
from tenantapp.settings import Settings

ENCRYPTED: Final = "v1:"
CLEAR: Final = "v0:"
NONCE: Final = 12  # bytes; NIST SP 800-38D, section 8.2


class Undecipherable(IdentityError):
    """A stored value was encrypted under another ``tenancy.secret``, or damaged."""

    def __init__(self) -> None:
        super().__init__("A stored secret cannot be read: it was stored under another tenancy.secret.")


def encrypt(text: str, secret: str | None, purpose: str, owner: str) -> str:
    """Return a text as it is stored. ``secret`` is the setting ``tenancy.secret``.

    ``purpose`` names the kind of value, and ``owner`` the row that has it: elsewhere the stored text cannot be read.
    """
    if secret is None:
        return CLEAR + text
    nonce = urandom(NONCE)
    sealed = AESGCM(_key(secret, purpose)).encrypt(nonce, text.encode(), owner.encode())
    return ENCRYPTED + urlsafe_b64encode(nonce + sealed).decode()


def decrypt(stored: str, secret: str | None, purpose: str, owner: str) -> str:
    """Return the text that ``encrypt`` was given. Raises ``Undecipherable``."""
    if stored.startswith(CLEAR):
        return stored.removeprefix(CLEAR)
    if secret is None or not stored.startswith(ENCRYPTED):
        raise Undecipherable
    try:
        read = urlsafe_b64decode(stored.removeprefix(ENCRYPTED))
        return AESGCM(_key(secret, purpose)).decrypt(read[:NONCE], read[NONCE:], owner.encode()).decode()
    except (InvalidTag, ValueError):
        raise Undecipherable from None


def secrets_of(settings: Settings) -> tuple[str | None, ...]:
    """Return the secrets that stored values may be encrypted under, the present one first."""
    former = settings.tenancy_former_secret
    return (settings.tenancy_secret, *([] if former is None else [former]))


def decrypt_by_any(stored: str, secrets: Sequence[str | None], purpose: str, owner: str) -> str:
    """Return the text that ``encrypt`` was given with one of these secrets. Raises ``Undecipherable``."""
    for secret in secrets:
        with suppress(Undecipherable):
            return decrypt(stored, secret, purpose, owner)
    raise Undecipherable


def encrypt_again(stored: str, secrets: Sequence[str | None], purpose: str, owner: str) -> str:
    """Return a stored text as it is stored under the first of the secrets: the same text, if it is so already.

    Raises ``Undecipherable`` if it was encrypted under none of them.
    """
    if stored.startswith(CLEAR) == (secrets[0] is None):
        with suppress(Undecipherable):
            decrypt(stored, secrets[0], purpose, owner)
            return stored
    return encrypt(decrypt_by_any(stored, secrets, purpose, owner), secrets[0], purpose, owner)


def _key(secret: str, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"tenantapp {purpose}".encode()).derive(secret.encode())
