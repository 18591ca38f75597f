"""Passwords: Argon2id, at most as many at a time as there are cores."""

import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from tenantapp.identity.errors import InvalidValue, TooManySignIns

# OWASP Password Storage Cheat Sheet: m=19456 (19 MiB), t=2, p=1 is the recommended minimum.
HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
MIN_LENGTH: Final = 8  # OWASP ASVS 5.0, 6.2.1
MAX_LENGTH: Final = 1024  # ASVS 5.0, 6.2.9 asks for at least 64; the bound keeps hashing cheap
QUEUE_TIMEOUT: Final = 5.0  # seconds

# More hashes at once than cores would only take each other's time and 19 MiB each.
_cores = BoundedSemaphore(os.cpu_count() or 1)
# Verified for logins that do not exist, so that these take as long as those that do.
_DECOY: Final = HASHER.hash(os.urandom(16))


def hash_password(password: str) -> str:
    """The Argon2id hash of a new password. Raises ``InvalidValue`` for one that is too short or too long."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise InvalidValue("password", f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.")
    return rehash(password)


def rehash(password: str) -> str:
    """The Argon2id hash of a password that is in use already, whatever its length."""
    with _turn():
        return HASHER.hash(_prepared(password))


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether this is the password. Takes as long when there is no hash. Raises ``TooManySignIns``."""
    with _turn():
        try:
            HASHER.verify(password_hash or _DECOY, _prepared(password[: MAX_LENGTH + 1]))
        except (VerifyMismatchError, InvalidHashError):
            return False
    return password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Whether the hash was made with other parameters than those in force now."""
    return HASHER.check_needs_rehash(password_hash)


def _prepared(password: str) -> bytes:
    # RFC 8265, section 4.2 (OpaqueString): the same password however the keyboard composes it.
    return unicodedata.normalize("NFC", password).encode()


@contextmanager
def _turn() -> Iterator[None]:
    if not _cores.acquire(timeout=QUEUE_TIMEOUT):
        raise TooManySignIns
    try:
        yield
    finally:
        _cores.release()
