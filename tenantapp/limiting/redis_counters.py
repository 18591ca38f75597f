"""Counters in the Redis that the setting ``throttle.store`` names: all machines share them."""

from collections.abc import Sequence
from typing import Any, Final

from limits.storage import RedisStorage
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry

from tenantapp.limiting.shared_counters import Charge, Counted

PATIENCE: Final = 0.1  # seconds for an answer of Redis
# As ``SharedCounters.charge``. Each key has an amount, the most, and seconds.
CHARGE: Final = """
local counted = {}
for number, key in ipairs(KEYS) do
    local amount, most, seconds = unpack(ARGV, number * 3 - 2, number * 3)
    local count = redis.call('INCRBY', key, amount)
    local left = redis.call('PTTL', key)
    if left < 0 then
        redis.call('EXPIRE', key, seconds)
        left = seconds * 1000
    end
    counted[number] = {count, left}
    if count > tonumber(most) then
        break
    end
end
return counted
"""


class RedisCounters(RedisStorage):
    """Counters in a Redis. Each call is one round trip of at most ``PATIENCE``. Nothing connects before the first.

    A window begins with the first request in it.
    """

    STORAGE_SCHEME: list[str] | None = None  # type: ignore[assignment]

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        # Once more, at once, if a connection that was kept has ended; but who does not answer is not waited for twice.
        retry: Any = Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))
        options: Any = {"retry": retry, "socket_timeout": patience, "socket_connect_timeout": patience}
        super().__init__(url.replace("unix:", "redis+unix:", 1), key_prefix="tenantapp", **options)
        self._charge: Any = self.get_connection().register_script(CHARGE.encode())

    def charge(self, charges: Sequence[Charge]) -> list[Counted]:
        """Add to counters in their order, as far as the first that is beyond its most. Return those that were added to.

        Raises ``base_exceptions`` if Redis does not answer.
        """
        keys = [self.prefixed_key(each[0]) for each in charges]
        counted = self._charge(keys=keys, args=[number for each in charges for number in each[1:]])
        return [(int(count), max(1, -(-int(left) // 1000))) for count, left in counted]
