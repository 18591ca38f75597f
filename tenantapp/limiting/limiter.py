"""Count requests, and refuse those that are too many."""

import logging
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from time import monotonic
from typing import Final, NamedTuple, Protocol

from tenantapp.limiting.errors import TooManyRequests
from tenantapp.limiting.policies import SENT, Policy, Standing
from tenantapp.limiting.shared_counters import Charge, Counted

log = logging.getLogger(__name__)
PAUSE: Final = 1.0  # seconds without asking counters that have failed
UNBOUNDED: Final = 2**53


class Counters(Protocol):
    """Where requests are counted: a ``Storage`` of the package ``limits``, which takes several charges at once."""

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Return the exceptions of counters that do not answer."""

    def charge(self, charges: Sequence[Charge]) -> list[Counted]:
        """Add to counters in their order, as far as the first that is beyond its most."""


Whose = tuple[str, str]
"""What is limited, and its name: whose requests are counted together."""


class LimiterNumbers(NamedTuple):
    """What a process has counted since its start.

    ``refused`` are the requests beyond a limit, by its kind. ``uncounted`` are those that went on although the counters
    did not answer. ``shed`` are those that had waited too long to be begun.
    """

    refused: Mapping[str, int]
    uncounted: int
    shed: int


class Limiter:
    """Counts requests by the policies. All threads share one.

    Counters that do not answer stop nobody: requests go on uncounted, and for a moment nobody asks the counters.
    """

    def __init__(
        self,
        policies: Mapping[str, tuple[Policy, ...]],
        counters: Counters,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.policies, self._counters, self._clock = policies, counters, clock
        self._lock = Lock()
        self._refused = dict.fromkeys(SENT, 0)
        self._uncounted = self._shed = 0
        self._closed_until = 0.0
        self._failing = False

    def charge(self, whose: Sequence[Whose], amount: int = 1, *, refuse: bool = True) -> list[Standing]:
        """Add ``amount`` to the counters of these, in their order, and return what is left of each limit.

        Raises ``TooManyRequests`` at the first that is beyond its limit, unless not to ``refuse``. Those after it are
        not counted then.
        """
        policies, charges = [], []
        for kind, name in whose:
            for policy in self.policies.get(kind, ()):
                policies.append(policy)
                most = policy.most if refuse else UNBOUNDED
                charges.append((f"{policy.name}:{name}", amount, most, policy.seconds))
        if not charges:
            return []
        standings, left = [], 0
        for policy, (count, seconds) in zip(policies, self._ask(charges), strict=False):
            left = policy.most - count
            standings.append((policy, max(0, left), seconds))
        if refuse and left < 0:
            with self._lock:
                self._refused[policy.kind] += 1
            raise TooManyRequests(standings)
        return standings

    def count_shed(self) -> None:
        """Take note that a request has waited too long, and was not begun."""
        with self._lock:
            self._shed += 1

    def numbers(self) -> LimiterNumbers:
        """Return what was counted in this process until now."""
        with self._lock:
            return LimiterNumbers(dict(self._refused), self._uncounted, self._shed)

    def _ask(self, charges: Sequence[Charge]) -> list[Counted]:
        """Charge, or return nothing if the counters do not answer."""
        if self._clock() >= self._closed_until:
            try:
                counted = self._counters.charge(charges)
            except self._counters.base_exceptions as error:
                self._closed_until = self._clock() + PAUSE
                if not self._failing:
                    self._failing = True
                    log.error("Requests are not counted, because the counters do not answer: %s", error)
            else:
                if self._failing:
                    self._failing = False
                    log.warning("The counters answer again, so requests are counted.")
                return counted
        with self._lock:
            self._uncounted += 1
        return []
