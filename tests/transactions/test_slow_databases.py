"""One tenant's trouble stays there: slow databases hold all threads of a process but one at most."""

from collections.abc import Iterator
from typing import Any

import pytest

from tenantapp.identity import users
from tests.installation import PASSWORD_HASH, Client, Installation
from tests.slow_databases import Sent, at_last, locked, locked_user_database

SLOW = 0.5  # seconds
THREADS = 4
BUSY = (503, "busy")
ENDLESS = {
    "postgresql": "SELECT pg_sleep(60)",
    "sqlite": "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n",
}


@pytest.fixture
def quick(make_installation: Any) -> Iterator[Installation]:
    """An installation in which a request is slow after a moment. It serves with four threads."""
    with make_installation(**{"connections.slow": str(SLOW)}) as installation:
        yield installation
        assert installation.checkedout() == 0, "a connection leaked"


def slow_requests(installation: Installation) -> int:
    return int(installation.registry.bulkhead.numbers().slow)


def clients(installation: Installation, login: str, count: int) -> list[Client]:
    """Pages of the same person."""
    first = Client(installation.app).sign_in(login)
    return [first, *(first.copy() for _ in range(count - 1))]


def post(client: Client) -> Any:
    return client.post("/nodes", {"title": "x"})


def test_all_threads_but_one_wait_for_a_slow_database(quick: Installation) -> None:
    bobs, gina = clients(quick, "bob", 5), Client(quick.app).sign_in("gina")
    assert post(gina).status_int == 201
    with locked(quick, "acme"):
        waiting = [Sent(post, bob) for bob in bobs[:3]]
        at_last(lambda: slow_requests(quick) == THREADS - 1)
        for _ in range(3):
            answer = bobs[3].post("/nodes", {"title": "x"})
            assert (answer.status_int, answer.json["code"]) == BUSY
            assert int(answer.headers["Retry-After"]) > 0
            assert post(gina).status_int == 201
        assert bobs[4].get("/session").status_int == 200
        assert slow_requests(quick) == THREADS - 1
    assert [sent.outcome() for sent in waiting] == [(201, None)] * 3, "nobody was ended"
    assert post(bobs[3]).status_int == 201
    numbers = quick.registry.bulkhead.numbers()
    assert (numbers.refused, numbers.ended, numbers.overdue) == (3, 0, 0), "it was refused, and waited for nothing"


def test_who_turns_slow_beyond_that_is_ended(quick: Installation) -> None:
    bobs = clients(quick, "bob", 4)
    with locked(quick, "acme"):
        waiting = [Sent(post, bob) for bob in bobs]
        at_last(lambda: any(not sent.is_alive() for sent in waiting))
        ended = [sent for sent in waiting if not sent.is_alive()]
        assert [sent.outcome() for sent in ended] == [BUSY]
        at_last(lambda: quick.checkedout() == 3)
    assert sorted(sent.outcome() for sent in waiting) == [(201, None)] * 3 + [BUSY]
    assert len(bobs[0].get("/nodes").json["items"]) == 3, "what was ended has done nothing"


def test_a_wait_ends_at_the_deadline(make_installation: Any) -> None:
    """Though there are threads enough. The connection is thrown away."""
    with make_installation(**{"connections.deadline": "0.8"}) as installation:
        bob = Client(installation.app).sign_in("bob")
        at_last(lambda: post(bob).status_int == 201)
        with locked(installation, "acme"):
            overdue = installation.registry.bulkhead.numbers().overdue
            sent = Sent(post, bob)
            assert sent.outcome() == (503, "tenant_unavailable")
            assert sent.seconds < 5, "as long as a lock is waited for"
            assert installation.registry.tenant_dbs.numbers()["main"].open == 0
            assert installation.registry.bulkhead.numbers().overdue == overdue + 1
        at_last(lambda: post(bob).status_int == 201)
        assert installation.checkedout() == 0


def test_a_slow_user_database_leaves_a_thread_for_what_does_not_need_it(quick: Installation) -> None:
    bobs = clients(quick, "bob", 5)
    with locked_user_database(quick):
        waiting = [Sent(sign_out, bob) for bob in bobs[:3]]
        at_last(lambda: slow_requests(quick) == THREADS - 1)
        sent = Sent(sign_out, bobs[3])
        assert sent.outcome() == BUSY
        assert sent.seconds < 3
        assert bobs[4].http.get("/__lbheartbeat__").status_int == 200
    # It was one session.
    assert {sent.outcome()[0] for sent in waiting} <= {204, 401, 409}


def sign_out(client: Client) -> Any:
    return client.delete("/session")


def test_the_user_database_is_waited_for_until_the_deadline(make_installation: Any) -> None:
    with make_installation(**{"connections.deadline": "0.8"}) as installation:
        bob = Client(installation.app).sign_in("bob")
        with locked_user_database(installation):
            sent = Sent(sign_out, bob)
            assert sent.outcome() == (503, "service_unavailable")
            assert sent.seconds < 5, "as long as a lock is waited for"
        at_last(lambda: bob.get("/session").status_int == 200)
        assert installation.checkedout() == 0


def test_a_query_over_the_fleet_counts_and_is_not_ended(quick: Installation, engine_name: str) -> None:
    """It has a time of its own. Its threads ask the tenants; the request waits for them."""
    with quick.registry.user_db.begin() as session:
        users.create_user(session, "otto", password_hash=PASSWORD_HASH, operator=True)
    otto, bobs = Client(quick.app).sign_in("otto"), clients(quick, "bob", 3)
    question = {"statement": ENDLESS[engine_name], "tenants": ["globex"], "timeout": 2}
    asking = Sent(otto.post, "/fleet/query", question)
    at_last(lambda: slow_requests(quick) == 1)
    with locked(quick, "acme"):
        waiting = [Sent(post, bob) for bob in bobs]
        at_last(lambda: any(not sent.is_alive() for sent in waiting))
        assert [sent.outcome() for sent in waiting if not sent.is_alive()] == [BUSY]
        assert asking.is_alive()
    assert asking.outcome() == (200, None)
    assert [item["failure"] for item in asking.answer.json["items"]] == ["it took longer than 2 seconds"]
    assert sorted(sent.outcome() for sent in waiting) == [(201, None)] * 2 + [BUSY]


def test_a_query_over_the_fleet_that_turns_slow_last_is_ended(quick: Installation, engine_name: str) -> None:
    with quick.registry.user_db.begin() as session:
        users.create_user(session, "otto", password_hash=PASSWORD_HASH, operator=True)
    otto, bobs = Client(quick.app).sign_in("otto"), clients(quick, "bob", 3)
    with locked(quick, "acme"):
        waiting = [Sent(post, bob) for bob in bobs]
        at_last(lambda: slow_requests(quick) == THREADS - 1)
        question = {"statement": ENDLESS[engine_name], "tenants": ["globex"], "timeout": 20}
        answer = otto.post("/fleet/query", question)
        assert [item["failure"] for item in answer.json["items"]] == [
            "it was slow, and too many requests waited already"
        ]
    assert [sent.outcome()[0] for sent in waiting] == [201] * 3
