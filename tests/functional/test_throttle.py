"""Signing in under attack: what is guessed is slowed down, what others guess stops nobody, and nothing is told."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import BoundedSemaphore
from typing import Any
from uuid import UUID

import pytest
from limits.storage import Storage
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.credentials import devices, passwords, sign_in
from tenantapp.credentials.counters import Change, DatabaseCounters, add_all, counters_of, forgotten
from tenantapp.credentials.errors import InvalidCode, ThrottleUnavailable, TooManyAttempts
from tenantapp.credentials.models import AttemptCount, KnownDevice
from tenantapp.credentials.refusals import recorded_refusals
from tenantapp.credentials.throttling import FREE, LONGEST_WAIT, Attempt, Kind, Throttle, network_of
from tenantapp.fleet.removing.expired import sweep_expired
from tenantapp.identity.audit import list_entries
from tenantapp.identity.errors import InvalidCredentials, TooManySignIns
from tenantapp.identity.models import AuditEntry, User
from tenantapp.identity.users import get_user
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import NOBODY, Actor
from tenantapp.testing.clock import Clock
from tests.installation import PASSWORD, Client, Installation, StatementRecorder

ADA = Attempt(Kind.PASSWORD, "ada", "192.0.2.1")
Wait = Callable[[float], None]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    from tests.redis import running_redis

    with running_redis() as url:
        yield url


@pytest.fixture
def redis_counters(redis_url: str) -> Any:
    """Empty counters in a Redis, whose keys ``wait`` makes older."""
    counters: Any = counters_of(redis_url, lambda: pytest.fail("not the database"))
    counters.storage.flushall()
    return counters


def wait_in_redis(counters: Any) -> Wait:
    def wait(seconds: float) -> None:
        for key in counters.storage.keys("*"):
            counters.storage.pexpire(key, max(0, counters.storage.pttl(key) - round(seconds * 1000)))

    return wait


def database_counters(installation: Installation) -> DatabaseCounters:
    return DatabaseCounters(lambda: installation.registry.access_reader.database)


def guess(
    client: Client, login: str = "ada", password: str = "wrong", address: str = "192.0.2.1", **headers: str
) -> Any:
    client.http.extra_environ["REMOTE_ADDR"] = address
    return client.post("/session", {"login": login, "password": password}, **headers)


def told(answer: Any) -> dict[str, Any]:
    """All that an answer tells, but for the id of the request."""
    return {**answer.json, "request_id": None, "retry": answer.headers.get("Retry-After")}


def refusals(installation: Installation) -> list[AuditEntry]:
    with installation.registry.user_db.begin(read_only=True) as session:
        entries = list_entries(session, action="session.refuse")
        session.expunge_all()
    return entries[::-1]


def try_and_fail(throttle: Throttle, attempt: Attempt) -> int:
    """How long this guess has to wait, or 0 if it was checked; it was wrong."""
    try:
        with suppress(InvalidCredentials), throttle.guarded(attempt):
            raise InvalidCredentials
    except TooManyAttempts as refused:
        return refused.retry_after
    return 0


def check_the_waits(throttle: Throttle, wait: Wait) -> None:
    assert [try_and_fail(throttle, ADA) for _ in range(FREE + 2)] == [0] * FREE + [2, 2]
    waited = 2
    for _ in range(12):
        wait(waited)
        assert try_and_fail(throttle, ADA) == 0
        again = try_and_fail(throttle, ADA)
        assert again == min(waited * 2, LONGEST_WAIT)
        waited = again
    assert waited == LONGEST_WAIT
    assert try_and_fail(throttle, Attempt(Kind.PASSWORD, "gina", "192.0.2.1")) == 0, "others do not wait"
    assert try_and_fail(throttle, Attempt(Kind.CODE, "ada", "192.0.2.1")) == 0, "nor does anything else"
    wait(LONGEST_WAIT)
    with throttle.guarded(ADA):
        pass
    assert [try_and_fail(throttle, ADA) for _ in range(FREE + 1)] == [0] * FREE + [2], "a success begins again"
    throttle.forget("ada")
    assert try_and_fail(throttle, ADA) == 0
    wait(86400)
    assert [try_and_fail(throttle, ADA) for _ in range(FREE + 1)] == [0] * FREE + [2], "so does a day"


def check_what_is_shared(throttle: Throttle, wait: Wait) -> None:
    """With 3 attempts for an address and 5 for all."""
    names = iter(range(100))

    def waits(address: str | None, device: bytes | None = None) -> int:
        return try_and_fail(throttle, Attempt(Kind.PASSWORD, f"login{next(names)}", address, device))

    for _ in range(20):
        with throttle.guarded(ADA):
            pass
    busy = throttle.guarded(ADA)
    with pytest.raises(TooManySignIns), busy:
        raise TooManySignIns
    assert [waits("2001:db8::1"), waits("2001:db8::2"), waits("2001:db8::ffff:3")] == [0, 0, 0], (
        "right ones do not count"
    )
    assert 590 <= waits("2001:db8::4") <= 600
    assert [waits("2001:db8:0:1::1"), waits(None)] == [0, 0]
    assert 50 <= waits("192.0.2.9") <= 60, "all together"
    assert waits("192.0.2.9", b"device") == 0, "but for known devices"
    wait(60)
    assert waits("192.0.2.9") == 0
    assert waits("2001:db8::4") > 60
    wait(600)
    assert waits("2001:db8::4") == 0


def test_waits_double_and_end(installation: Installation, clock: Clock) -> None:
    clock.freeze()
    check_the_waits(
        Throttle(database_counters(installation), 1000, 1000), lambda seconds: clock.advance(seconds=seconds) and None
    )


def test_waits_double_and_end_in_redis(redis_counters: Storage) -> None:
    check_the_waits(Throttle(redis_counters, 1000, 1000), wait_in_redis(redis_counters))


def test_an_address_and_all_together_are_bounded(installation: Installation, clock: Clock) -> None:
    clock.freeze()
    check_what_is_shared(
        Throttle(database_counters(installation), 3, 5), lambda seconds: clock.advance(seconds=seconds) and None
    )


def test_an_address_and_all_together_are_bounded_in_redis(redis_counters: Storage) -> None:
    check_what_is_shared(Throttle(redis_counters, 3, 5), wait_in_redis(redis_counters))


@pytest.mark.parametrize("store", ["database", "redis"])
def test_guesses_at_the_same_moment_do_not_outrun_the_counting(
    shared_installation: Installation, request: pytest.FixtureRequest, store: str
) -> None:
    """On real connections: what is counted here is committed."""
    counters = (
        database_counters(shared_installation) if store == "database" else request.getfixturevalue("redis_counters")
    )
    throttle = Throttle(counters, 1000, 1000)
    try:
        with ThreadPoolExecutor(8) as threads:
            waits = list(threads.map(lambda _: try_and_fail(throttle, ADA), range(24)))
        assert waits.count(0) == FREE
        assert max(waits) <= 2, "the wait is not lengthened by those that are refused"
    finally:
        counters.reset()


def test_expired_counts_are_removed_by_the_way(installation: Installation, clock: Clock) -> None:
    user_db = installation.registry.user_db
    counters = DatabaseCounters(lambda: installation.registry.access_reader.database, sweep_every=3)
    assert counters.check()
    counters.incr("password:one", 60)
    counters.incr("password:two", 60)
    clock.advance(minutes=2)
    counters.incr("password:again", 60)
    with user_db.begin() as session:
        assert list(session.scalars(select(AttemptCount.key))) == ["password:again"]
        clock.advance(minutes=2)
        assert sweep_expired(session)[AttemptCount] == 1
    assert counters.get("password:again") == 0


def check_what_is_taken_back(counters: Storage, wait: Wait) -> None:
    assert add_all(counters, [Change("one", 60), Change("two", 60)]) == [1, 1]
    wait(120)
    add_all(counters, [Change("one", 60, -1), forgotten("two"), Change("never", 60, -1)])
    assert [counters.get(key) for key in ("one", "two", "never")] == [0, 0, 0]
    assert add_all(counters, [Change("one", 60), Change("never", 60, 2)]) == [1, 2], "none was below nought"
    assert add_all(counters, [Change("one", 60, -1), Change("never", 60, -1)]) == [0, 1]
    assert counters.get_expiry("one") <= utcnow().timestamp() + 1, "it counts no more"


def check_a_flood(counters: Storage) -> None:
    throttle, gina = Throttle(counters, 3, 600), Attempt(Kind.PASSWORD, "gina", "192.0.2.1")
    try_and_fail(throttle, ADA)
    assert [try_and_fail(throttle, gina) > 0 for _ in range(9)] == [False, False, *[True] * 7]
    waits = [try_and_fail(throttle, replace(gina, address=f"192.0.2.{number}")) for number in range(5, 9)]
    assert waits == [0, 0, 0, 2], "two attempts at gina were counted"


def test_what_is_taken_back_leaves_nothing(installation: Installation, redis_counters: Storage, clock: Clock) -> None:
    check_what_is_taken_back(redis_counters, wait_in_redis(redis_counters))
    clock.freeze()
    check_what_is_taken_back(database_counters(installation), lambda seconds: clock.advance(seconds=seconds) and None)


def test_a_flood_from_one_address_changes_its_own_counter_alone(
    installation: Installation, redis_counters: Storage
) -> None:
    check_a_flood(redis_counters)
    check_a_flood(database_counters(installation))


def test_a_guess_is_refused_before_it_is_checked(client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    clock.freeze()
    known = [guess(client) for _ in range(FREE)]
    unknown = [guess(client, "stranger") for _ in range(FREE)]
    assert {answer.status_int for answer in known} == {401}
    assert [told(answer) for answer in known] == [told(answer) for answer in unknown]
    monkeypatch.setattr(sign_in, "authenticate", lambda *_: pytest.fail("it was checked"))
    known, unknown = [guess(client, login, PASSWORD) for login in ("ada", "stranger")]
    assert known.status_int == 429
    assert known.json["code"] == "too_many_attempts"
    assert known.headers["Retry-After"] == "2"
    assert told(known) == told(unknown)


def test_whoever_waits_gets_in(client: Client, clock: Clock) -> None:
    for _ in range(FREE):
        guess(client)
    assert guess(client, password=PASSWORD).status_int == 429
    clock.advance(seconds=2)
    assert guess(client, password=PASSWORD).status_int == 201
    assert guess(client).status_int == 401, "the count is forgotten"


def test_a_guess_costs_the_same_whether_or_not_somebody_has_the_login(
    installation: Installation, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # New ones: one attempt in two hundred also removes what has expired.
    monkeypatch.setattr(installation.registry, "throttle", Throttle(database_counters(installation), 100, 100))
    client.sign_in("both")  # the browser is a known device of somebody
    sent = []
    for login in ("ada", "gone", "stranger", "a\u202eb"):
        with StatementRecorder(installation.registry.user_db.real) as queries:
            assert guess(client, login).status_int == 401
        sent.append(queries)
    assert len(set(map(len, sent))) == 1, sent


def test_others_do_not_lock_people_out_of_their_own_browser(
    installation: Installation, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.sign_in("ada")
    client.delete("/session")
    stranger = Client(installation.app)
    for _ in range(FREE):
        guess(stranger)
    monkeypatch.setattr(installation.registry, "throttle", Throttle(database_counters(installation), 1, 1))
    assert guess(stranger, password=PASSWORD).status_int == 429
    assert guess(client, password=PASSWORD).status_int == 201, "from the same address"
    assert guess(stranger, password=PASSWORD).status_int == 429, "and that helps no stranger"


def test_a_stolen_device_helps_nobody(installation: Installation, client: Client, clock: Clock) -> None:
    client.sign_in("ada")
    stolen, thief = f"tenantapp-device={client.http.cookies['tenantapp-device']}", Client(installation.app)
    assert thief.get("/session", Cookie=stolen).status_int == 401
    for _ in range(FREE):
        assert guess(thief, Cookie=stolen).status_int == 401
    assert guess(thief, password=PASSWORD, Cookie=stolen).status_int == 429, "it is slowed down by itself"
    assert guess(Client(installation.app), password=PASSWORD).status_int == 201, "and slows nobody else down"
    for _ in range(FREE):
        guess(thief, "gina", Cookie=stolen)
    assert guess(Client(installation.app), "gina", PASSWORD).status_int == 429, "to others it is no known device"


def is_known(session: Session, user_id: UUID, token: str, *, by_provider: bool = False) -> bool:
    """Whether it would be a sign-in on a known device; nothing is changed."""
    with session.begin_nested() as asking:
        known = devices.use_again(session, user_id, token, by_provider=by_provider)
        asking.rollback()
    return known


def test_a_device_is_known_to_the_people_who_signed_in_there(installation: Installation, client: Client) -> None:
    _, header = guess(client, password=PASSWORD).headers.getall("Set-Cookie")
    token = client.http.cookies["tenantapp-device"]
    assert header == f"tenantapp-device={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000"
    client.delete("/session")
    client.csrf_token = ""
    assert client.http.cookies["tenantapp-device"] == token, "a sign-out keeps it"
    guess(client, "gina", PASSWORD)
    assert client.http.cookies["tenantapp-device"] == token, "people may share a browser"
    planted = Client(installation.app)
    guess(planted, "both", PASSWORD, Cookie=f"tenantapp-device={'x' * 43}")
    assert planted.http.cookies["tenantapp-device"] != "x" * 43, "what we did not issue is not adopted"
    with installation.registry.user_db.begin() as session:
        ada, gina, both = (get_user(session, login).id for login in ("ada", "gina", "both"))
        known = [is_known(session, person, token) for person in (ada, gina, both)]
        assert known == [True, True, False]
        assert token.encode() not in {row.token_hash for row in session.scalars(select(KnownDevice))}


def test_devices_are_forgotten(installation: Installation, clock: Clock) -> None:
    user_db = installation.registry.user_db
    with user_db.begin() as session:
        ada = get_user(session, "ada").id
        tokens = [devices.remember(session, ada, None, most=2) for _ in range(3) if clock.advance(seconds=1)]
        assert [is_known(session, ada, token) for token in tokens] == [False, True, True]
        others = [devices.remember(session, ada, None, by_provider=True, most=1) for _ in range(2)]
        assert [is_known(session, ada, token) for token in tokens] == [False, True, True], "by a provider"
        assert not any(is_known(session, ada, token) for token in others)
        assert [is_known(session, ada, token, by_provider=True) for token in others].count(True) == 1
    clock.advance(days=366)
    assert devices.find(user_db, User.login == "ada", tokens[2]) is None
    with user_db.begin() as session:
        assert not is_known(session, ada, tokens[2])
        assert sweep_expired(session)[KnownDevice] == 3


def test_without_the_store_nobody_signs_in_and_everybody_works(
    installation: Installation, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.sign_in("ada")
    throttle = Throttle(counters_of("unix:///nowhere/redis", lambda: pytest.fail("not asked")), 60, 600)
    monkeypatch.setattr(installation.registry, "throttle", throttle)
    for _ in range(2):
        closed = guess(Client(installation.app), "bob", PASSWORD)
        assert (closed.status_int, closed.json["code"]) == (503, "busy")
        assert "Retry-After" in closed.headers
    assert client.get("/nodes").status_int == 200
    assert client.post("/nodes", {"title": "Written"}).status_int == 201


def test_a_store_that_failed_is_left_alone_for_a_moment() -> None:
    times = iter([0.0, 0.0, 0.5, 1.0, 1.0])
    throttle = Throttle(
        counters_of("unix:///nowhere/redis", lambda: pytest.fail("not asked")), 60, 600, lambda: next(times)
    )
    for _ in range(2):
        with pytest.raises(ThrottleUnavailable):
            throttle.count(ADA)
    asked: list[str] = []
    throttle._counters.incr = lambda key, *_: asked.append(key) or 1  # type: ignore[method-assign, func-returns-value]
    assert throttle.count(ADA)
    assert len(asked) == 3


def test_a_flood_that_hashes_leaves_a_thread_free_and_costs_nothing(
    installation: Installation, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = BoundedSemaphore(1)
    monkeypatch.setattr(passwords, "_places", taken)
    with taken, StatementRecorder(installation.registry.user_db.real) as queries:
        refused = guess(client, password=PASSWORD)
    assert (refused.status_int, refused.json["code"]) == (503, "busy")
    assert len(queries) == 0
    assert guess(client, password=PASSWORD).status_int == 201, "the place was given back, and nothing was counted"


def test_refusals_are_logged_and_in_the_audit_trail(
    installation: Installation, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "tenantapp.credentials.refusals"):
        for login, password in (("ada", "wrong"), ("gone", PASSWORD), ("a\x1b[2J\n\u202e" + "b" * 300, "wrong")):
            assert guess(client, login, password, "192.0.2.7").status_int == 401
    shown = r"a\x1b[2J\n\u202e" + "b" * 247
    reasons = [("ada", "wrong password"), ("gone", "disabled"), (shown, "unknown login")]
    assert [(each.detail["login"], each.detail["reason"]) for each in refusals(installation)] == reasons
    by = {(each.actor, each.actor_id, each.address) for each in refusals(installation)}
    assert by == {(NOBODY, None, "192.0.2.7")}
    assert [(line.login, line.reason) for line in caplog.records] == reasons  # type: ignore[attr-defined]
    assert {line.address for line in caplog.records} == {"192.0.2.7"}  # type: ignore[attr-defined]
    assert all(each.request_id in line for each, line in zip(refusals(installation), caplog.messages, strict=True))


def test_a_wrong_code_is_recorded_like_a_wrong_password(installation: Installation) -> None:
    nobody = Actor(NOBODY, request_id="request-1", address="192.0.2.7")
    with pytest.raises(InvalidCode), recorded_refusals(installation.registry.user_db, nobody, "ada"):
        raise InvalidCode
    [entry] = refusals(installation)
    assert entry.detail == {"login": "ada", "reason": "wrong second factor"}
    assert (entry.address, entry.request_id) == ("192.0.2.7", "request-1")


def test_a_flood_of_guesses_does_not_fill_the_audit_trail(
    installation: Installation, client: Client, clock: Clock
) -> None:
    clock.freeze()
    for _ in range(FREE + 25):
        guess(client)
    throttled = [each.detail for each in refusals(installation)][FREE:]
    assert throttled == [
        {"login": "ada", "reason": "too many attempts: account", "refused": refused} for refused in (1, 10)
    ]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix:", "unix:"),
    ],
)
def test_attempts_count_for_the_network_that_one_customer_has(address: str, network: str) -> None:
    assert network_of(address) == network
