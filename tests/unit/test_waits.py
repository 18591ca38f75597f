"""Who is let in to a database that is slow or silent, and what is counted."""

import threading
import time
from typing import Any

import pytest
from sqlalchemy import select

from tenantapp.identity.local_access import local_access
from tenantapp.serving.options import processes_and_threads
from tenantapp.sql.breaker import Breaker, Health
from tenantapp.sql.bulkhead import Bulkhead
from tenantapp.sql.failures import Cause, Failure
from tenantapp.sql.waits import CONNECTING, TENANT_DATABASES, USER_DATABASE, present, watched
from tests.installation import Installation
from tests.slow_databases import at_last


class Refused(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class Hanging:
    """Something that is waited for until somebody ends it."""

    spends_on = CONNECTING

    def __init__(self, health: Health | None = None) -> None:
        self.health = health
        self.over = threading.Event()

    def cut(self) -> None:
        self.over.set()


def healthy() -> Health:
    return Health(Refused, Breaker(60, 2), 60)


def held(bulkhead: Bulkhead, awaited: Hanging) -> threading.Thread:
    """A request in a thread that waits for this."""

    def serve() -> None:
        with bulkhead.request():
            watched(awaited, awaited.over.wait, 20)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_outside_a_request_nothing_is_refused_and_nothing_reported() -> None:
    health = healthy()
    health.slow = True
    health.silent()
    health.admit()
    assert present() is None
    assert watched(Hanging(), lambda: "called") == "called"


def test_a_slow_database_is_refused_only_while_too_many_wait() -> None:
    bulkhead, slow, well = Bulkhead(threads=3, slow=0.05, deadline=20), healthy(), healthy()
    waiting = [Hanging(slow) for _ in range(2)]
    first = held(bulkhead, waiting[0])
    at_last(lambda: bulkhead.numbers().slow == 1)
    with bulkhead.request():
        slow.admit()
    second = held(bulkhead, waiting[1])
    at_last(lambda: bulkhead.numbers().slow == 2)
    with bulkhead.request():
        well.admit()
        with pytest.raises(Refused) as refused:
            slow.admit()
    assert refused.value.failure.cause == Cause.SLOW
    waiting[0].cut()
    first.join()
    with bulkhead.request():
        slow.admit()
        assert bulkhead.numbers().slow == 2, "it counts from the beginning"
        slow.returned(sound=True)
        assert bulkhead.numbers().slow == 1
    assert slow.slow, "somebody waits for it still"
    waiting[1].cut()
    second.join()
    with bulkhead.request():
        slow.admit()
        slow.returned(sound=True)
    assert not slow.slow
    assert bulkhead.numbers().ended == 0


def test_brief_waits_are_not_added_up() -> None:
    with Bulkhead(threads=2, slow=20, deadline=60).request():
        waits: Any = present()

        def wait(seconds: float) -> None:
            waits.enter(Hanging())
            waits.since -= seconds
            waits.leave()

        for _ in range(50):
            wait(0.5)
        assert waits.waited == 0
        for _ in range(5):
            wait(5)
        assert waits.is_slow(time.monotonic())


def test_the_last_to_turn_slow_is_ended_and_a_commit_only_if_there_is_nobody_else() -> None:
    bulkhead = Bulkhead(threads=2, slow=0.05, deadline=20)
    committing, reading = Hanging(), Hanging()

    def commit() -> None:
        with bulkhead.request():
            watched(committing, committing.over.wait, 20, committing=True)

    first = held(bulkhead, reading)
    at_last(lambda: bulkhead.numbers().slow == 1)
    last = threading.Thread(target=commit, daemon=True)
    last.start()
    first.join(20)
    assert reading.over.is_set()
    assert not committing.over.is_set()
    committing.cut()
    last.join(20)


def test_slow_requests_hold_half_of_the_threads_while_all_stay_at_work() -> None:
    bulkhead, slow = Bulkhead(threads=4, slow=0.05, deadline=20), [Hanging() for _ in range(3)]
    threads = [held(bulkhead, hanging) for hanging in slow]
    at_last(lambda: bulkhead.numbers().slow == 3)
    time.sleep(0.3)
    assert not any(hanging.over.is_set() for hanging in slow), "a thread was free"
    with bulkhead.request():
        at_last(lambda: any(hanging.over.is_set() for hanging in slow))
        assert sum(hanging.over.is_set() for hanging in slow) == 1
    at_last(lambda: bulkhead.numbers().limit == 3)
    for hanging in slow:
        hanging.cut()
    for thread in threads:
        thread.join(20)


def test_nobody_looks_while_there_are_no_requests() -> None:
    bulkhead = Bulkhead(threads=4, slow=0.05, deadline=20, rest=0.02)
    with bulkhead.request():
        watchdog = bulkhead._watchdog
    assert watchdog is not None
    watchdog.join(20)
    assert not watchdog.is_alive()
    with bulkhead.request():
        assert bulkhead._watchdog is not None


def test_one_database_that_is_silent_is_not_the_server() -> None:
    server = Breaker(60, 2)
    one, other = (Health(Refused, server, 60) for _ in range(2))
    for _ in range(3):
        one.silent()
    assert (one.own.is_open, server.is_open) == (True, False)
    other.answered()
    other.silent()
    one.answered()
    assert not server.is_open, "there was an answer in between"
    one.silent()
    other.silent()
    assert server.is_open


def test_a_server_that_is_back_is_back_for_all_of_its_databases() -> None:
    bulkhead, server = Bulkhead(threads=4, slow=1, deadline=20), Breaker(0.05, 2)
    one, other = (Health(Refused, server, 60) for _ in range(2))
    one.silent()
    other.silent()
    with bulkhead.request():
        at_last(server.is_due)
        with pytest.raises(Refused):
            one.admit()
        server.answered()
        other.admit()
        with pytest.raises(Refused):
            other.admit()
        other.silent()
        with pytest.raises(Refused):
            other.admit()


def test_one_request_finds_out_whether_a_server_is_back() -> None:
    bulkhead, breaker = Bulkhead(threads=4, slow=1, deadline=20), Breaker(0.05)
    health = Health(Refused, breaker, 0.05)
    health.silent()
    with bulkhead.request():
        with pytest.raises(Refused) as refused:
            health.admit()
        assert refused.value.failure.cause == Cause.SILENT
        at_last(breaker.is_due)
        health.admit()
        with pytest.raises(Refused):
            health.admit()
        health.answered()
        health.admit()
        health.admit()


def test_the_bulkhead_knows_the_threads_of_the_server(installation: Installation) -> None:
    assert processes_and_threads({"use": "egg:tenantapp", "workers": "2", "threads": "7"}) == (3, 7)
    assert installation.registry.bulkhead.numbers().limit == 3, "of four threads, which waitress has"


def test_it_is_known_what_the_time_was_spent_on() -> None:
    spent_on = {CONNECTING: 0.5, USER_DATABASE: 2, TENANT_DATABASES: 3}
    with Bulkhead(threads=2, slow=20, deadline=60).request():
        waits: Any = present()
        for place, seconds in (*spent_on.items(), (TENANT_DATABASES, 1)):
            awaited = Hanging()
            awaited.spends_on = place
            waits.enter(awaited)
            waits.since -= seconds
            waits.leave()
    assert waits.spent == pytest.approx([0.5, 2, 4], abs=0.1)


def test_connections_say_whose_database_they_lead_to(installation: Installation) -> None:
    registry = installation.registry
    with registry.bulkhead.request():
        waits: Any = present()
        with registry.user_db.begin(read_only=True) as session:
            access = local_access(session, "acme")
        user = waits.spent[USER_DATABASE]
        assert user > 0
        assert waits.spent[TENANT_DATABASES] == 0
        with registry.tenant_dbs.begin(access) as session:
            session.execute(select(1))
        assert waits.spent[TENANT_DATABASES] > 0
        assert waits.spent[USER_DATABASE] == user
