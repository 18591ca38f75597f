"""A tenant has no more connections than its quota, in each process its part, and nobody else waits for it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tenantapp.identity.connection_quotas import set_connection_quota
from tenantapp.sql.pool import BudgetedPool
from tests.installation import Client, Installation
from tests.slow_databases import Sent, at_last, backends, database_of, locked

PROCESSES, USUAL = 2, 7


@pytest.fixture(scope="module")
def installation(make_installation: Any) -> Iterator[Installation]:
    given = {"connections.timeout": "0.3", "connections.workers": str(PROCESSES), "quotas.connections": str(USUAL)}
    with make_installation(**given) as installation:
        yield installation
        assert installation.checkedout() == 0


def give(installation: Installation, quota: int | None) -> None:
    with installation.registry.user_db.begin() as session:
        set_connection_quota(session, "acme", quota)


def pool_of(installation: Installation) -> BudgetedPool:
    pool = installation.registry.tenant_dbs.for_access(installation.local_access("acme")).engine.pool
    assert isinstance(pool, BudgetedPool)
    return pool


def test_requests_beyond_the_quota_do_not_run_at_once(installation: Installation, engine_name: str) -> None:
    bob, gina = Client(installation.app).sign_in("bob", "acme"), Client(installation.app).sign_in("gina")
    give(installation, PROCESSES)  # one for each
    with locked(installation, "acme"):
        sent = [Sent(bob.post, "/nodes", {"title": str(number)}) for number in range(3)]
        at_last(lambda: sum(not each.is_alive() for each in sent) == 2)
        refused = [each for each in sent if not each.is_alive()]
        assert [each.outcome() for each in refused] == [(503, "busy")] * 2
        assert all(0.3 <= each.seconds < 5 for each in refused)
        assert "that acme may use" in refused[0].answer.json["detail"]
        assert pool_of(installation).in_use == 1
        if engine_name == "postgresql":
            assert len(backends(installation, database_of(installation, "acme"))) == 2, "one has the lock"
        gina.post("/nodes", {"title": "of another tenant"}, status=201)
    (waited,) = (each for each in sent if each not in refused)
    assert waited.outcome() == (201, None)


def test_a_quota_counts_from_the_next_request_on(installation: Installation) -> None:
    bob = Client(installation.app).sign_in("bob", "acme")
    found, pool = [], pool_of(installation)
    for quota in (1, 5, None):
        give(installation, quota)
        bob.get("/nodes", status=200)
        found.append(pool.most)
    assert found == [1, 5 // PROCESSES, USUAL // PROCESSES]
    engine = installation.registry.tenant_dbs.for_access(installation.local_access("acme")).engine
    engine.dispose()
    assert engine.pool is not pool
    assert isinstance(engine.pool, BudgetedPool)
    assert engine.pool.most == USUAL // PROCESSES, "whoever has this engine has the quota as well"
