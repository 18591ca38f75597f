"""Why a request is not answered now:

LimitingError
+-- TooManyRequests   a limit is used up
+-- Overloaded        the request has waited for so long that nobody may wait for the answer any more
StorageFull           the tenant uses all of its storage
"""

from collections.abc import Sequence

from tenantapp.limiting.policies import SENT, Standing


class LimitingError(Exception):
    """The base class of this room's errors. ``retry_after`` is in seconds."""

    retry_after: int


class TooManyRequests(LimitingError):
    """A limit is used up: the last one of ``standings``, what was left of each that was looked at."""

    def __init__(self, standings: Sequence[Standing]) -> None:
        policy, _, seconds = standings[-1]
        super().__init__(
            f"More than {policy.most} requests in {policy.seconds} seconds {SENT[policy.kind]}. Wait {seconds} seconds."
        )
        self.policy, self.standings, self.retry_after = policy.name, standings, seconds


class Overloaded(LimitingError):
    """A request has waited too long for a thread. It was not begun."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("There is too much to do: the request has waited too long, and was not begun. Try again.")
        self.retry_after = retry_after


class StorageFull(Exception):
    """The tenant uses all of its storage, so nothing is added to its data."""

    def __init__(self) -> None:
        super().__init__("The tenant uses all of its storage. Delete something, or ask an operator for more.")
