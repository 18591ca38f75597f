"""Where cached values are kept: in the memory of this process, or in a Redis that all processes share."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

log = logging.getLogger(__name__)

SHARE: Final = 4  # a tenant may have a quarter of the memory, so that it cannot displace all others
OVERHEAD: Final = 200  # bytes that an entry takes besides its key and its value, about
PATIENCE: Final = 0.25  # seconds for an answer of Redis
PAUSE: Final = 5.0  # seconds without Redis after it has failed


class Place(NamedTuple):
    """A tenant and the epoch of its content. What is kept for another epoch is never found."""

    tenant_id: UUID
    epoch: str


class CacheStore(Protocol):
    """Keeps bytes, by place and key, for some seconds. It may lose any of them at any time. Threads share it."""

    def get(self, place: Place, key: str) -> bytes | None:
        """Return the value, or None."""

    def set(self, place: Place, key: str, value: bytes, seconds: float) -> None:
        """Keep a value."""

    def delete(self, place: Place, key: str) -> None:
        """Forget a value."""


class _Entry(NamedTuple):
    value: bytes
    until: float  # on the clock, in seconds
    size: int


@dataclass(slots=True)
class _Kept:
    """What is kept for a tenant, the least recently used first."""

    epoch: str
    entries: OrderedDict[str, _Entry] = field(default_factory=OrderedDict)
    size: int = 0

    def pop(self, key: str) -> int:
        """Forget an entry, and return its size."""
        entry = self.entries.pop(key, None)
        freed = 0 if entry is None else entry.size
        self.size -= freed
        return freed

    def pop_oldest(self) -> int:
        return self.pop(next(iter(self.entries)))


class MemoryStore:
    """A store of at most ``most`` bytes in this process. Other processes do not see it."""

    def __init__(self, most: int, clock: Callable[[], float] = monotonic) -> None:
        self._most, self._clock = most, clock
        self._tenants: OrderedDict[UUID, _Kept] = OrderedDict()
        self._lock = Lock()
        self.size = 0
        """How many bytes are kept, about."""

    def get(self, place: Place, key: str) -> bytes | None:
        """Return the value, or None."""
        with self._lock:
            kept = self._tenants.get(place.tenant_id)
            entry = None if kept is None or kept.epoch != place.epoch else kept.entries.get(key)
            if kept is None or entry is None:
                return None
            if entry.until <= self._clock():
                self.size -= kept.pop(key)
                return None
            kept.entries.move_to_end(key)
            self._tenants.move_to_end(place.tenant_id)
            return entry.value

    def set(self, place: Place, key: str, value: bytes, seconds: float) -> None:
        """Keep a value, unless it is larger than a tenant's share. The least recently used ones make room."""
        size = len(value) + len(key) + OVERHEAD
        with self._lock:
            kept = self._kept(place)
            self.size -= kept.pop(key)
            if size > self._most // SHARE:
                return
            while kept.size + size > self._most // SHARE:
                self.size -= kept.pop_oldest()
            kept.entries[key] = _Entry(value, self._clock() + seconds, size)
            kept.size += size
            self.size += size
            while self.size > self._most:
                self._make_room()

    def delete(self, place: Place, key: str) -> None:
        """Forget a value."""
        with self._lock:
            kept = self._tenants.get(place.tenant_id)
            if kept is not None and kept.epoch == place.epoch:
                self.size -= kept.pop(key)

    def _kept(self, place: Place) -> _Kept:
        kept = self._tenants.get(place.tenant_id)
        if kept is None or kept.epoch != place.epoch:
            # The content went back, or is another's. A request of before that comes late only empties the cache again.
            self.size -= 0 if kept is None else kept.size
            kept = self._tenants[place.tenant_id] = _Kept(place.epoch)
        self._tenants.move_to_end(place.tenant_id)
        return kept

    def _make_room(self) -> None:
        tenant_id, kept = next(iter(self._tenants.items()))
        if kept.entries:
            self.size -= kept.pop_oldest()
        if not kept.entries:
            del self._tenants[tenant_id]


class FrozenStore:
    """Another store, in which nothing is kept that is not kept there already."""

    def __init__(self, store: CacheStore) -> None:
        self._store = store

    def get(self, place: Place, key: str) -> bytes | None:
        """Return the value, or None."""
        return self._store.get(place, key)

    def set(self, place: Place, key: str, value: bytes, seconds: float) -> None:
        """Keep nothing."""

    def delete(self, place: Place, key: str) -> None:
        """Forget a value."""
        self._store.delete(place, key)


class RedisStore:
    """A store in Redis, or what speaks its protocol. While it does not answer, nothing is found and nothing is kept.

    ``client`` is a ``redis.Redis``.
    """

    def __init__(self, client: Any, clock: Callable[[], float] = monotonic) -> None:
        self._client, self._clock = client, clock
        self._paused_until = 0.0

    def get(self, place: Place, key: str) -> bytes | None:
        """Return the value, or None."""
        found: bytes | None = self._ask(lambda: self._client.get(_name(place, key)))
        return found

    def set(self, place: Place, key: str, value: bytes, seconds: float) -> None:
        """Keep a value."""
        self._ask(lambda: self._client.set(_name(place, key), value, px=max(1, round(seconds * 1000))))

    def delete(self, place: Place, key: str) -> None:
        """Forget a value."""
        self._ask(lambda: self._client.delete(_name(place, key)))

    def _ask(self, command: Callable[[], Any]) -> Any:
        from redis.exceptions import RedisError

        if self._clock() < self._paused_until:
            return None
        try:
            return command()
        except RedisError as error:
            # A cache that is down must not take the requests down, nor let each of them wait.
            self._paused_until = self._clock() + PAUSE
            log.warning("The cache does not answer (%s). Requests do without it for %g seconds.", error, PAUSE)
            return None


def _name(place: Place, key: str) -> str:
    return f"tenantapp:{place.tenant_id.hex}:{place.epoch}:{key}"


def cache_store(url: str | None, memory: int) -> CacheStore:
    """Return the store of the settings: a Redis at ``url``, or this process with ``memory`` bytes. Nothing connects."""
    if url is None:
        return MemoryStore(memory)
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # Once more, at once: a connection that was kept may have ended. The default waits for seconds between attempts.
    retry = Retry(NoBackoff(), 1)
    return RedisStore(
        Redis.from_url(url, retry=retry, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, protocol=2)
    )
