"""A tenant has no more connections than its quota, and holds up nobody else. Threads, and no databases."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from random import Random
from typing import Any

import pytest

from tenantapp.sql.breaker import Breaker, Health
from tenantapp.sql.budget import ConnectionBudget
from tenantapp.sql.bulkhead import Bulkhead
from tenantapp.sql.errors import ConnectionsSpent
from tenantapp.sql.waits import take_ended
from tenantapp.tenancy.errors import QuotaSpent, TenantDatabaseSlow, tenant_database_failed
from tests.slow_databases import at_last

LONG = 20.0  # seconds; nobody is to wait as long


class Server:
    """Counts the connections to it, and sees whether each has a place in the budget until it is closed."""

    def __init__(self, places: Callable[[], int]) -> None:
        self.lock, self.open, self.most_open, self.had_places = threading.Lock(), 0, 0, True
        self.places = places

    def connect(self, tenant: "Tenant") -> "Connection":
        with self.lock:
            self.open += 1
            tenant.open += 1
            self.most_open = max(self.most_open, self.open)
            tenant.most_open = max(tenant.most_open, tenant.open)
        return Connection(self, tenant)


class Connection:
    """What the pool of a tenant keeps."""

    def __init__(self, server: Server, tenant: "Tenant") -> None:
        self.dbapi_connection: object | None = object()
        self._server, self.tenant = server, tenant

    def close(self) -> None:
        with self._server.lock:
            self._server.had_places &= self._server.open <= self._server.places()
            self._server.open -= 1
            self.tenant.open -= 1
        self.dbapi_connection = None


class Tenant:
    """A tenant's part of the budget, as its pool has it."""

    def __init__(self, name: str, most: int | None = None) -> None:
        self.in_use, self.most, self.idle = 0, most, list[Any]()
        self.health = Health(partial(tenant_database_failed, name, "main"), Breaker(1.0), 1.0)
        self.open = self.most_open = 0


class Budget(ConnectionBudget):
    """A budget that connects as the pools do."""

    def __init__(self, limit: int, timeout: float = LONG) -> None:
        super().__init__(limit, timeout)
        self.server = Server(lambda: self.numbers().open)

    def get(self, tenant: Tenant) -> Any:
        return self.take(tenant) or self.server.connect(tenant)

    def give(self, connection: Any, *, broken: bool = False) -> None:
        if broken:
            connection.close()
        self.give_back(connection.tenant, connection)

    def left_out(self) -> bool:
        """Whether somebody waits who may have a connection, and there is a place for it."""
        with self._lock:
            able = any(each.share.most is None or each.share.in_use < each.share.most for each in self._waiters)
            return able and (self._open < self._limit or bool(self._idle))


@pytest.fixture
def budget() -> Budget:
    return Budget(limit=3)


@pytest.fixture
def later(budget: Budget) -> Iterator[Callable[[Tenant], Future[Any]]]:
    """Asks for a connection in a thread of its own, and returns when it waits."""
    with ThreadPoolExecutor(8) as threads:

        def ask(tenant: Tenant) -> Future[Any]:
            waiting = budget.numbers().waiting
            asked = threads.submit(budget.get, tenant)
            at_last(lambda: budget.numbers().waiting > waiting)
            return asked

        yield ask


Later = Callable[[Tenant], Future[Any]]


def test_who_has_reached_the_quota_waits_and_others_do_not(budget: Budget, later: Later) -> None:
    acme, globex = Tenant("acme", most=1), Tenant("globex")
    first = budget.get(acme)
    second = later(acme)
    of_globex = [budget.get(globex), budget.get(globex)]  # at once, although somebody waits
    third = later(globex)
    budget.give(first)
    assert second.result() is first, "its own, and not the one who waits for a place"
    budget.give(of_globex[0])
    assert third.result() is of_globex[0]
    budget.give(first)
    assert (budget.numbers().idle, budget.numbers().evicted, budget.server.most_open) == (1, 0, 3)


def test_a_place_is_kept_while_only_those_wait_who_may_not_have_it(budget: Budget, later: Later) -> None:
    acme, globex, initech = Tenant("acme", most=1), Tenant("globex"), Tenant("initech")
    first = budget.get(acme)
    second = later(acme)
    of_globex = [budget.get(globex), budget.get(globex)]
    budget.give(of_globex[0])
    budget.give(of_globex[1], broken=True)
    assert (budget.numbers().open, budget.numbers().idle, budget.numbers().waiting) == (2, 1, 1)
    of_initech = [budget.get(initech), budget.get(initech)]  # the free place, and that of the idle connection
    assert budget.numbers().evicted == 1
    budget.give(first, broken=True)
    assert second.result() is not first
    for connection in (*of_initech, second.result()):
        budget.give(connection)
    assert budget.numbers().open == budget.numbers().idle == budget.server.open == 3


def test_whatever_frees_a_place_passes_over_those_who_may_not_have_it(budget: Budget, later: Later) -> None:
    acme, globex = Tenant("acme", most=1), Tenant("globex")
    held = [budget.get(acme), budget.get(globex), budget.get(globex)]
    of_acme, of_globex = later(acme), [later(globex), later(globex)]
    budget.set_limit(4)
    assert of_globex[0].result()
    budget.hold()
    budget.give(held[1])
    assert not of_globex[1].done(), "one more is open than there may be"
    budget.let_go()
    assert of_globex[1].result()
    assert not of_acme.done()
    budget.give(held[0])
    assert of_acme.result()


def test_a_quota_can_be_changed_at_any_time(budget: Budget, later: Later) -> None:
    acme = Tenant("acme", most=1)
    first = budget.get(acme)
    second, third = later(acme), later(acme)
    budget.set_most(acme, 2)
    at_last(second.done)
    assert not third.done()
    budget.set_most(acme, None)
    at_last(third.done)
    budget.give(first)
    budget.set_most(acme, 1)
    assert acme.open == 2, "the idle one is closed"
    fourth = later(acme)
    budget.give(second.result())
    assert (acme.open, fourth.done()) == (1, False)
    budget.give(third.result())
    assert fourth.result() is third.result()
    assert budget.server.had_places


def test_who_waits_in_vain_is_told_what_for() -> None:
    budget = Budget(limit=2, timeout=0.01)
    acme, globex = Tenant("acme", most=1), Tenant("globex")
    first = budget.get(acme)
    with pytest.raises(QuotaSpent, match="All connections that acme may use are in use") as refused:
        budget.get(acme)
    assert refused.value.for_log() == "tenant acme on server main: connection quota (all 1 of this process are in use)"
    held = budget.get(globex)
    with pytest.raises(ConnectionsSpent) as full:
        budget.get(globex)
    assert not isinstance(full.value, QuotaSpent)
    assert (budget.numbers().refused, budget.numbers().waiting) == (2, 0)
    budget.give(first)
    budget.give(held)
    assert budget.get(acme) is first


def test_a_tenant_that_fills_its_quota_does_not_hold_all_threads(budget: Budget) -> None:
    """The bulkhead ends those who wait for others of their own tenant, and then refuses further ones at once."""
    bulkhead = Bulkhead(threads=2, slow=0.1, deadline=LONG, rest=0.2)
    acme = Tenant("acme", most=1)
    held = budget.get(acme)

    def request() -> Any:
        with bulkhead.request():
            acme.health.admit()
            try:
                return budget.get(acme)
            finally:
                assert take_ended() is None, "the next error of this request would be taken for that of this wait"

    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(request) for _ in range(2)]
        at_last(lambda: any(each.done() for each in both))
        ended = next(each for each in both if each.done())
        with pytest.raises(QuotaSpent):
            ended.result()
        with pytest.raises(TenantDatabaseSlow):
            threads.submit(request).result()
        budget.give(held)
        assert next(each for each in both if each is not ended).result() is held


def test_whatever_happens_nobody_has_too_many_and_nobody_waits_in_vain() -> None:
    """Threads at random. Who waits for a place that got lost would be refused, or waits while there is one."""
    tenants = [Tenant(str(number), most) for number, most in enumerate((1, 1, 2, 3, None, None))]
    budget = Budget(limit=4)
    left_out = Counter[bool]()

    def work(seed: int) -> None:
        random = Random(seed)
        for _ in range(60):
            connection = budget.get(random.choice(tenants))
            left_out[budget.left_out()] += 1
            time.sleep(random.random() * 0.002)
            budget.give(connection, broken=random.random() < 0.2)
            if random.random() < 0.1:
                budget.close_idle(random.choice([None, *tenants]))
            if random.random() < 0.1:
                budget.set_limit(random.randint(2, 4))

    with ThreadPoolExecutor(10) as threads:
        for done in [threads.submit(work, seed) for seed in range(10)]:
            done.result()
    numbers = budget.numbers()
    assert (numbers.refused, numbers.waiting) == (0, 0)
    assert numbers.open == numbers.idle == budget.server.open
    assert numbers.waited > 100
    assert left_out[True] == 0
    assert budget.server.most_open <= 4
    assert budget.server.had_places
    assert [tenant.in_use for tenant in tenants] == [0] * len(tenants)
    assert all(tenant.most is None or tenant.most_open <= tenant.most for tenant in tenants)
