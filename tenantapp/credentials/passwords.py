"""Hash and verify passwords by Argon2id, at most as many at once as there are cores."""

import logging
import os
import sys
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import BoundedSemaphore, get_native_id, local
from typing import Any, Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import ARGON2_VERSION

from tenantapp.identity.errors import InvalidValue, TooManySignIns

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# OWASP Password Storage Cheat Sheet: m=19456 (19 MiB), t=2, p=1 is the recommended minimum.
MEMORY: Final = 19456  # KiB
PASSES: Final = 2
MAX_LENGTH: Final = 1024  # OWASP ASVS 5.0, 6.2.9 asks for at least 64; the limit keeps hashing cheap
QUEUE_TIMEOUT: Final = 5.0  # seconds

NICENESS: Final = 5  # of the threads that hash: they get a third of what a request gets, if both want a core
FREE_THREADS: Final = 1  # of the web server, for requests that hash nothing

# More hashes at once than cores would not be faster, and each takes its memory.
_cores = BoundedSemaphore(os.cpu_count() or 1)
# Who hashes or waits for a core. Only a web server has so many threads that it bounds them.
_places = BoundedSemaphore(256)
_thread = local()


def bound_waiting(threads: int) -> None:
    """Let at most all but ``FREE_THREADS`` of the web server's threads hash passwords or wait for it.

    Further requests are refused at once. So a flood of them does not hold the threads that other requests need.
    """
    global _places
    _places = BoundedSemaphore(max(1, threads - FREE_THREADS))


def hash_password(password: str, memory: int = MEMORY) -> str:
    """Return the Argon2id hash of a password. ``password_rules`` says which new ones are accepted.

    ``memory`` is the setting ``passwords.memory``, in KiB. Raises ``InvalidValue`` if the password is too long, and
    ``TooManySignIns`` at once if too many threads wait for a core, or if no core is free within ``QUEUE_TIMEOUT``
    seconds, or if there is no memory.
    """
    if len(password) > MAX_LENGTH:
        raise InvalidValue("password", f"A password has at most {MAX_LENGTH} characters.")
    return rehash(password, memory)


def rehash(password: str, memory: int) -> str:
    """Return the Argon2id hash of an existing password of any length. Raises ``TooManySignIns``."""
    return _hashed(_hasher(memory).hash, _prepared(password))


def verify_password(password_hash: str | None, password: str, memory: int) -> bool:
    """Return whether the password is right. Without a hash it takes as long as with one made with this ``memory``.

    Raises ``TooManySignIns``.
    """
    try:
        _hashed(_hasher(memory).verify, password_hash or decoy_hash(memory), _prepared(password[: MAX_LENGTH + 1]))
    except (VerifyMismatchError, InvalidHashError):
        return False
    return password_hash is not None


def needs_rehash(password_hash: str, memory: int) -> bool:
    """Return whether the hash was made with other parameters than the present ones."""
    return _hasher(memory).check_needs_rehash(password_hash)


@cache
def decoy_hash(memory: int) -> str:
    """Return a hash without a known password. It is assembled from random bytes, because hashing takes 50 ms.

    It is verified for unknown logins, so that they take as long as known ones.
    """
    hasher = _hasher(memory)
    salt, tag = (b64encode(os.urandom(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len))
    return f"$argon2id$v={ARGON2_VERSION}$m={memory},t={hasher.time_cost},p={hasher.parallelism}${salt}${tag}"


@cache
def _hasher(memory: int) -> PasswordHasher:
    return PasswordHasher(time_cost=PASSES, memory_cost=memory, parallelism=1)


def _prepared(password: str) -> bytes:
    # RFC 8265, section 4.2 (OpaqueString): all keyboards give the same password, however they compose a character.
    return unicodedata.normalize("NFC", password).encode()


@contextmanager
def place() -> Iterator[None]:
    """Let this thread hash passwords in the block. Raises ``TooManySignIns`` at once if too many threads do or wait.

    Hashing itself takes a place. Take it before whatever else a request does that is going to hash, so that one that is
    refused has cost nothing.
    """
    if getattr(_thread, "has_place", False):
        yield
        return
    with _acquired(_places, 0):
        _thread.has_place = True
        try:
            yield
        finally:
            _thread.has_place = False


def _hashed(hash_or_verify: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function of a hasher in a thread of the pool, and return its result. Raises ``TooManySignIns``."""
    with place(), _acquired(_cores, QUEUE_TIMEOUT):
        try:
            return _pool().submit(hash_or_verify, *arguments).result()
        except (VerifyMismatchError, InvalidHashError):
            raise
        except (HashingError, VerificationError) as error:
            # A password that is wrong never comes here. Mostly there is no memory.
            log.warning("A password could not be hashed: %s", error)
            raise TooManySignIns from error


@cache
def _pool() -> ThreadPoolExecutor:
    """Return the threads that hash. Those of requests come first: a sign-in may wait, and a flood of them must."""
    return ThreadPoolExecutor(os.cpu_count() or 1, "hashing", _be_nice)


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of its parent's threads


def _be_nice() -> None:
    if sys.platform == "linux":  # elsewhere it would be the whole process
        os.setpriority(os.PRIO_PROCESS, get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


@contextmanager
def _acquired(places: BoundedSemaphore, timeout: float) -> Iterator[None]:
    if not places.acquire(timeout=timeout):
        raise TooManySignIns
    try:
        yield
    finally:
        places.release()
