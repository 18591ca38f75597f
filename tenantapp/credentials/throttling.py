"""Bound how often anything that can be guessed is tried: passwords, codes, requests for mail.

Three counters stand before each attempt: of its account, of the address it comes from, and of all together. They are
counted before the attempt is checked, so attempts at the same moment do not outrun them, and a refused attempt is not
checked. A right one takes its counts back. Where nothing is guessed, only the address is counted.

A browser in which the person has signed in before has counters of its own, and only those (OWASP, "Slow Down Online
Guessing Attacks with Device Cookies"). So nobody locks people out of their own browsers by guessing. What holds for a
login holds whether or not anybody has it. A sign-in by an identity provider makes no such browser.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from time import monotonic
from typing import Final, NamedTuple

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import Storage

from tenantapp.credentials.counters import Change, add_all, forgotten, seconds_left
from tenantapp.credentials.errors import ThrottleUnavailable, TooManyAttempts
from tenantapp.identity.errors import TooManySignIns
from tenantapp.settings import Settings
from tenantapp.sql.errors import SqlError

log = logging.getLogger(__name__)

# NIST SP 800-63B-4, section 3.2.2: at most 100 failures in a row, for instance by waits of up to an hour that grow.
FREE: Final = 5  # attempts before the first wait
FIRST_WAIT: Final = 2  # seconds; each further wait is twice as long
LONGEST_WAIT: Final = 3600  # seconds
FORGOTTEN: Final = 86400  # seconds after the first attempt when the attempts on an account are forgotten
ADDRESS_MINUTES: Final = 10
IPV6_NETWORK: Final = 64  # bits: what a provider gives to one customer at least (RFC 6177)
MOST_FLOODING: Final = 1000  # addresses over their limit that a process knows
PAUSE: Final = 1.0  # seconds without asking a store that has failed
# The attempt was not checked, so it tells nothing and is not counted.
UNCHECKED: Final = (TooManySignIns, SqlError)


class Kind(StrEnum):
    """What is guessed. Each kind has counters of its own."""

    PASSWORD = "password"  # noqa: S105
    CODE = "code"  # of a second factor, or of a recovery
    RESET = "reset"  # requests for mail by which a password is replaced
    REGISTRATION = "registration"  # requests for mail by which somebody registers
    LINK = "link"  # uses of one link: the answer tells which logins are taken
    PASSKEY = "passkey"  # challenges for a passkey of anybody, each of which is stored
    PROVISIONING = "provisioning"  # wrong tokens of directories


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody tries to prove who they are, or asks for something that costs us a row or a mail.

    ``account`` is what the attempt is about: a normalized login or mail address, the token of a link, or the slug of a
    directory's tenant. It need not exist; without one, only ``address`` is counted, which is that of the client, if it
    is known. ``device`` is the hash of the token of a device that is known for this account.
    """

    kind: Kind
    account: str | None
    address: str | None = None
    device: bytes | None = None


class _Shared(NamedTuple):
    """A counter that several accounts share: its name in a refusal, what an attempt adds to it, and what it allows."""

    reason: str
    change: Change
    most: int


class Throttle:
    """Counts attempts and refuses those that are too many. All threads share one.

    ``per_address`` is how many attempts of each kind an address has in ten minutes, ``overall`` how many all have
    together in a minute.
    """

    def __init__(
        self, counters: Storage, per_address: int, overall: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._counters, self._clock = counters, clock
        self._per_address = RateLimitItemPerMinute(per_address, ADDRESS_MINUTES)
        self._overall = RateLimitItemPerMinute(overall)
        self._closed_until = 0.0
        self._flooding: set[str] = set()

    @contextmanager
    def guarded(self, attempt: Attempt) -> Iterator[None]:
        """Count an attempt, and let the block check it. The end of the block means that it was right.

        If the block raises an error, the attempt stays counted, unless the error says that nothing was checked. The
        block must not write to the user database: on SQLite the counters would wait for it. Raises ``TooManyAttempts``
        and ``ThrottleUnavailable``.
        """
        free = self.count(attempt)
        try:
            yield
        except UNCHECKED:
            self._take_back(attempt, free)
            raise
        self.succeeded(attempt, free)

    def count(self, attempt: Attempt) -> bool:
        """Count an attempt before it is checked. Return whether it was one of the first, which need not wait.

        Raises ``TooManyAttempts`` and ``ThrottleUnavailable``.
        """
        with self._asking():
            shared = self._shared(attempt)
            own = [] if attempt.account is None else [Change(_own_keys(attempt)[0], FORGOTTEN)]
            changes = [*(each.change for each in shared), *own]
            counts: list[int] = []
            if shared and shared[0].change.key in self._flooding:
                # Alone, so that a flood from one address leaves the counters of all and of the account as they are.
                counts = add_all(self._counters, changes[:1])
                self._refuse(shared, changes, counts)
                self._flooding.discard(shared[0].change.key)
            counts += add_all(self._counters, changes[len(counts) :])
            self._refuse(shared, changes, counts)
            return attempt.account is None or self._is_free(attempt, counts[-1])

    def succeeded(self, attempt: Attempt, free: bool = False) -> None:
        """Forget the failures of the account, or of the known device: it was right. ``free`` is of ``count``."""
        with self._asking():
            # One of the first attempts has begun no wait. What an older one has left expires by itself.
            own = () if attempt.account is None else _own_keys(attempt)[: 1 if free else 3]
            shared = [each.change.taken_back() for each in self._shared(attempt)]
            add_all(self._counters, [*shared, *map(forgotten, own)])

    def forget(self, account: str) -> None:
        """Forget the failures of an account, of each kind. Those of its known devices are forgotten by themselves."""
        with self._asking():
            add_all(self._counters, [forgotten(key) for kind in Kind for key in _own_keys(Attempt(kind, account))])

    def _shared(self, attempt: Attempt) -> list[_Shared]:
        """Return the counters that the attempt shares with others. The address is first: it keeps one from the rest."""
        found = []
        if attempt.device is None and attempt.address is not None:
            key = _key(attempt.kind, "address", network_of(attempt.address))
            found.append(_shared("address", key, self._per_address))
        if attempt.device is None and attempt.account is not None:
            found.append(_shared("all", _key(attempt.kind, "all", ""), self._overall))
        return found

    def _refuse(self, shared: list[_Shared], changes: list[Change], counts: list[int]) -> None:
        """Raise ``TooManyAttempts`` if a shared counter is full. What it refuses, those after it do not count."""
        for number, (each, counted) in enumerate(zip(shared, counts, strict=False)):
            if counted > each.most:
                add_all(self._counters, [later.taken_back() for later in changes[number + 1 : len(counts)]])
                if number == 0:
                    if len(self._flooding) >= MOST_FLOODING:
                        self._flooding.clear()
                    self._flooding.add(each.change.key)
                raise self._too_many(each.reason, each.change.key, counted - each.most)

    def _is_free(self, attempt: Attempt, tried: int) -> bool:
        """Return whether this is one of the first attempts. Raises ``TooManyAttempts`` during a wait."""
        if tried < FREE:
            return True
        _, level, wait = _own_keys(attempt)
        # Only the attempt that begins a wait raises the level. So it cannot be raised by many at the same moment.
        seconds = min(FIRST_WAIT << max(0, min(self._counters.get(level), 30)), LONGEST_WAIT)
        refused = self._counters.incr(wait, seconds) - 1
        if refused:
            raise self._too_many("account" if attempt.device is None else "device", wait, refused)
        self._counters.incr(level, FORGOTTEN)
        return False

    def _too_many(self, reason: str, key: str, refused: int) -> TooManyAttempts:
        seconds = seconds_left(self._counters, key)
        return TooManyAttempts(reason, max(1, ceil(round(seconds, 3))), refused)

    def _take_back(self, attempt: Attempt, free: bool) -> None:
        tried, level, wait = _own_keys(attempt)
        own = [Change(tried, FORGOTTEN), *([] if free else [Change(level, FORGOTTEN)])]
        counted = [*(each.change for each in self._shared(attempt)), *own]
        with self._asking():
            add_all(self._counters, [*(each.taken_back() for each in counted), *([] if free else [forgotten(wait)])])

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Raise ``ThrottleUnavailable`` if the store does not answer, and for a moment after that without asking it.

        The user database says itself that it does not answer.
        """
        if self._clock() < self._closed_until:
            raise ThrottleUnavailable
        try:
            yield
        except StorageError as error:
            self._closed_until = self._clock() + PAUSE
            log.error("The store of the throttle does not answer, so nobody can sign in: %s", error.storage_error)
            raise ThrottleUnavailable from error


def throttle_of(settings: Settings, counters: Storage) -> Throttle:
    """Return the throttle of the settings on these counters."""
    return Throttle(counters, settings.throttle_per_address, settings.throttle_overall)


def network_of(address: str) -> str:
    """Return whose attempts those from an address are: an IPv4 address, or the network of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), IPV6_NETWORK), strict=False))


def _shared(reason: str, key: str, limit: RateLimitItem) -> _Shared:
    return _Shared(reason, Change(key, limit.get_expiry()), limit.amount)


def _own_keys(attempt: Attempt) -> tuple[str, str, str]:
    """Return the keys of an account or a known device: of its attempts, of the length of its waits, of its wait."""
    whose = "account" if attempt.device is None else "device"
    name = attempt.account or ""
    if attempt.device is not None:
        name = f"{attempt.device.hex()} {name}"
    tried, level, wait = (_key(attempt.kind, f"{whose}-{what}", name) for what in ("tried", "level", "wait"))
    return tried, level, wait


def _key(kind: Kind, what: str, name: str) -> str:
    # A hash: names have any length, and people also type their password where the login belongs.
    return f"{kind}:{what}:{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:40]}"
