"""What is cached for a tenant is found by it alone, in its present epoch, for as long as was said, and no longer."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from transaction import TransactionManager

from tenantapp.tenancy.cache import TenantCache
from tenantapp.tenancy.cache_stores import OVERHEAD, PAUSE, CacheStore, MemoryStore, Place, RedisStore, cache_store

ACME, GLOBEX = Place(UUID(int=1), "first"), Place(UUID(int=2), "first")
MOST = 100_000


class Clock:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    from tests.redis import running_redis

    with running_redis() as url:
        yield url


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Any:
    """An empty store."""
    if request.param == "memory":
        return cache_store(None, MOST)
    store: Any = cache_store(request.getfixturevalue("redis_url"), MOST)
    store._client.flushall()
    return store


def test_a_value_is_found_where_it_was_kept_and_nowhere_else(store: CacheStore) -> None:
    restored = ACME._replace(epoch="second")
    TenantCache(store, ACME).set("stock", {"books": [1, None, "\u2603"]})
    TenantCache(store, GLOBEX).set("stock", 0)
    assert TenantCache(store, ACME).get("stock") == {"books": [1, None, "\u2603"]}
    assert TenantCache(store, GLOBEX).get("stock") == 0
    assert TenantCache(store, ACME).get("books", "nothing") == "nothing"
    assert TenantCache(store, restored).get("stock") is None
    TenantCache(store, restored).set("stock", 7)
    assert TenantCache(store, restored).get("stock") == 7
    assert TenantCache(store, ACME).get("stock") != 7
    TenantCache(store, GLOBEX).delete("stock")
    assert TenantCache(store, GLOBEX).get("stock") is None
    assert TenantCache(store, restored).get("stock") == 7


def test_a_reader_gets_a_value_of_their_own(store: CacheStore) -> None:
    cache = TenantCache(store, ACME)
    cache.set("list", [1])
    cache.get("list").append(2)
    assert cache.get("list") == [1]


def test_a_value_is_made_once_and_always_as_json_has_it(store: CacheStore) -> None:
    cache = TenantCache(store, ACME)
    made = [cache.get_or_make("total", lambda: {"price": Decimal("9.90"), "id": UUID(int=1)}) for _ in range(2)]
    assert made == [{"price": "9.90", "id": str(UUID(int=1))}] * 2
    assert cache.get_or_make("total", lambda: 1 / 0) == made[0]
    assert cache.get_or_make("none", lambda: None) is None
    assert cache.get_or_make("none", lambda: 1 / 0) is None
    with pytest.raises(ZeroDivisionError):
        cache.get_or_make("other", lambda: 1 / 0)


def test_a_value_is_kept_for_its_time(redis_url: str) -> None:
    clock = Clock()
    cache = TenantCache(MemoryStore(MOST, clock), ACME)
    cache.set("short", 1, seconds=10)
    clock.now = 9.9
    assert cache.get("short") == 1
    clock.now = 10
    assert cache.get("short") is None
    shared: Any = cache_store(redis_url, MOST)
    TenantCache(shared, ACME).set("short", 1, seconds=10)
    (name,) = shared._client.keys("*:short")
    assert 9000 < shared._client.pttl(name) <= 10_000


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_that_cannot_be_used_is_refused(key: str) -> None:
    cache = TenantCache(MemoryStore(MOST), ACME)
    for use in (cache.get, cache.delete, lambda key: cache.set(key, 1), lambda key: cache.get_or_make(key, list)):
        with pytest.raises(ValueError, match="1 to 200 characters"):
            use(key)


def test_what_json_has_not_and_an_odd_time_are_refused() -> None:
    cache = TenantCache(MemoryStore(MOST), ACME)
    with pytest.raises(TypeError):
        cache.set("lock", object())
    for seconds in (0, -1, 86_401, float("nan")):
        with pytest.raises(ValueError, match="at most 86400 seconds"):
            cache.set("x", 1, seconds=seconds)


def test_memory_is_bounded_and_no_tenant_displaces_all_others() -> None:
    store, value = MemoryStore(MOST), b"x" * 1000
    store.set(GLOBEX, "old", value, 60)
    for number in range(1000):
        store.set(ACME, f"{number:04}", value, 60)
    assert store.size <= MOST // 4 + 1000 + OVERHEAD + 4
    assert store.get(ACME, "0999") == value
    assert store.get(ACME, "0000") is None
    assert store.get(GLOBEX, "old") == value
    for number in range(3, 200):
        store.set(Place(UUID(int=number), "first"), "key", value, 60)
    assert store.size <= MOST
    assert store.get(ACME, "0999") is None, "the least recently used tenant makes room"
    store.set(ACME, "large", b"x" * MOST, 60)
    assert store.get(ACME, "large") is None
    assert store.size <= MOST


def test_what_is_used_stays() -> None:
    store = MemoryStore(4 * 3 * (1000 + OVERHEAD + 1))
    for key in "abc":
        store.set(ACME, key, b"x" * 1000, 60)
    store.get(ACME, "a")
    store.set(ACME, "d", b"x" * 1000, 60)
    assert [key for key in "abcd" if store.get(ACME, key)] == ["a", "c", "d"]


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_changes_are_made_with_the_commit(store: CacheStore, end: str) -> None:
    manager = TransactionManager(explicit=True)
    other = TenantCache(store, ACME)
    other.set("deleted", 1)
    manager.begin()
    cache = TenantCache(store, ACME, manager)
    cache.set("written", 2)
    cache.delete("deleted")
    assert cache.get_or_make("made", lambda: 3) == cache.get("made") == 3
    assert [cache.get(key) for key in ("written", "deleted")] == [2, None]
    assert [other.get(key) for key in ("written", "deleted", "made")] == [None, 1, None]
    getattr(manager, end)()
    after = [2, None, 3] if end == "commit" else [None, 1, None]
    assert [other.get(key) for key in ("written", "deleted", "made")] == after


def test_a_redis_that_is_down_costs_one_wait_and_no_request(caplog: pytest.LogCaptureFixture) -> None:
    down: Any = cache_store("unix:///nowhere/redis", MOST)
    clock = Clock()
    clock.now = 100
    cache = TenantCache(RedisStore(down._client, clock), ACME)
    began = time.monotonic()
    for _ in range(3):
        assert cache.get("x", "nothing") == "nothing"
        cache.set("x", 1)
        cache.delete("x")
    assert time.monotonic() - began < 2
    assert len(caplog.records) == 1
    assert "does not answer" in caplog.text
    clock.now += PAUSE
    cache.get("x")
    assert len(caplog.records) == 2
