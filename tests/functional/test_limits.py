"""Limits: whose requests are counted together, what is told of it, and what is not counted."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tenantapp.limiting.limiter import Limiter
from tenantapp.limiting.policies import policies_of
from tenantapp.limiting.redis_counters import RedisCounters
from tenantapp.limiting.shared_counters import SharedCounters
from tenantapp.setting_types import rates
from tenantapp.settings import read_settings
from tenantapp.testing.queries import recorder_of
from tests.installation import Client, Installation

GOOD = {"user_db.url": "sqlite+pysqlite:////tmp/user.sqlite", "servers.main": "sqlite+pysqlite:////tmp/tenants/"}
Limit = Callable[..., Limiter]


def limiter_of(counters: Any, clock: Callable[[], float] = time.monotonic, **limits: str) -> Limiter:
    given = {f"limits.{kind}": limit for kind, limit in limits.items()}
    return Limiter(policies_of(read_settings(GOOD | given, {})), counters, clock)


@pytest.fixture
def limit(installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Limit:
    """Limits the requests of the installation until the test ends."""

    def limit(**limits: str) -> Limiter:
        limiter = limiter_of(SharedCounters(tmp_path, 2), **limits)
        monkeypatch.setattr(installation.registry, "limiter", limiter)
        return limiter

    return limit


def left(answer: Any) -> dict[str, int]:
    """What is left of each limit, as the answer tells it."""
    items = [item.split(";") for item in answer.headers.get("RateLimit", "").split(", ") if item]
    return {name.strip('"'): int(rest[0].removeprefix("r=")) for name, *rest in items}


def refused(answer: Any, policy: str) -> bool:
    if answer.status_int != 429:
        return False
    assert answer.content_type == "application/problem+json"
    assert (answer.json["code"], answer.json["policy"]) == ("too_many_requests", policy)
    assert 1 <= int(answer.headers["Retry-After"]) <= 86400
    assert left(answer)[policy] == 0
    return True


def test_without_limits_nothing_is_counted_and_nothing_told(client: Client) -> None:
    answer = client.sign_in("bob").get("/nodes")
    assert not {"RateLimit", "RateLimit-Policy"} & set(answer.headers)


def test_a_person_is_limited_in_all_their_sessions_and_others_are_not(installation: Installation, limit: Limit) -> None:
    first, second = (Client(installation.app).sign_in("bob") for _ in range(2))
    other = Client(installation.app).sign_in("ada")
    limit(person="2/day", tenant="4/day")
    answer = first.get("/nodes")
    assert left(answer) == {"person": 1, "tenant": 3}
    assert answer.headers["RateLimit-Policy"] == '"person";q=2;w=86400, "tenant";q=4;w=86400'
    assert left(second.get("/nodes")) == {"person": 0, "tenant": 2}
    with recorder_of(installation) as statements:
        assert refused(second.get("/nodes"), "person")
        assert len(statements) <= 1, "nothing but the access is read"
    assert left(other.get("/nodes"))["tenant"] == 1, "what was refused does not count for the tenant"
    assert other.get("/nodes").status_int == 200
    assert refused(Client(installation.app).sign_in("rita").get("/nodes"), "tenant")


def test_a_token_is_limited_by_itself(client: Client, installation: Installation, limit: Limit) -> None:
    token = client.sign_in("bob").post("/tokens", {"name": "x", "permissions": ["content.read"], "days": 1}).json
    limit(token="1/day", person="9/day")
    program = {"Authorization": f"Bearer {token['token']}"}
    assert left(Client(installation.app).get("/nodes", **program)) == {"person": 8, "token": 0}
    assert refused(Client(installation.app).get("/nodes", **program), "token")
    assert left(client.get("/nodes")) == {"person": 6}


def test_an_address_is_refused_before_any_statement(client: Client, installation: Installation, limit: Limit) -> None:
    client.sign_in("bob")
    limiter = limit(address="2/day")
    networks = ["192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::ffff", "192.0.2.2"]
    for address, expected in zip(networks, (1, 0, 1, 0, 1), strict=True):
        client.http.extra_environ["REMOTE_ADDR"] = address
        assert left(client.get("/session")) == {"address": expected}, address
    with recorder_of(installation) as statements:
        for address in ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::2"):
            client.http.extra_environ["REMOTE_ADDR"] = address
            # The server says who asks: what a client claims counts for nothing.
            assert refused(client.get("/session", **{"X-Forwarded-For": "198.51.100.7"}), "address")
        assert len(statements) == 0
    assert limiter.numbers().refused["address"] == 3


def test_probes_pages_and_preflights_are_not_counted(client: Client, limit: Limit) -> None:
    limit(address="1/day")
    client.http.extra_environ["REMOTE_ADDR"] = "192.0.2.1"
    assert client.get("/session").status_int == 401
    for path in ("/__lbheartbeat__", "/__heartbeat__", "/__version__", "/"):
        answer = client.http.get(path, expect_errors=True)
        assert (answer.status_int != 429, left(answer)) == (True, {}), path
    assert client.http.options("/api/v1/session", expect_errors=True).status_int != 429
    assert refused(client.get("/session"), "address")


def test_a_batch_counts_as_its_parts_and_is_carried_out_as_a_whole(client: Client, limit: Limit) -> None:
    client.sign_in("bob")
    client.http.extra_environ["REMOTE_ADDR"] = "192.0.2.1"
    limit(person="5/day", address="100/day")
    reading = {"requests": [{"method": "GET", "path": "/nodes"}] * 3}
    assert left(client.post("/batch", reading)) == {"address": 97, "person": 2}
    assert left(client.post("/batch", reading)) == {"address": 94, "person": 0}
    assert refused(client.get("/nodes"), "person")


def test_several_windows_have_names_of_their_own(client: Client, limit: Limit) -> None:
    client.sign_in("bob")
    limit(person="3/hour, 9/day")
    answer = client.get("/nodes")
    assert answer.headers["RateLimit-Policy"] == '"person-3600";q=3;w=3600, "person-86400";q=9;w=86400'
    assert left(answer) == {"person-3600": 2, "person-86400": 8}


@contextmanager
def deaf_server() -> Iterator[str]:
    """The URL of a server that accepts and never answers, as a frozen Redis does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


def test_without_the_counters_requests_go_on(
    client: Client, installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client.sign_in("bob")
    client.http.extra_environ["REMOTE_ADDR"] = "192.0.2.1"
    with deaf_server() as url:
        now = [0.0]
        limiter = limiter_of(RedisCounters(url), lambda: now[0], person="1/day", address="1/day")
        monkeypatch.setattr(installation.registry, "limiter", limiter)
        started = time.monotonic()
        for _ in range(3):
            answer = client.get("/nodes")
            assert (answer.status_int, left(answer)) == (200, {})
        now[0] += 2
        assert client.get("/nodes").status_int == 200
        assert time.monotonic() - started < 2, "two waits of a tenth of a second"
    assert limiter.numbers().uncounted == 8
    messages = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert [message[:25] for message in messages] == ["Requests are not counted,"]


def test_counters_in_a_redis_count_as_those_of_the_machine() -> None:
    from tests.redis import running_redis

    with running_redis() as url:
        limiters = [limiter_of(RedisCounters(url), person="3/hour, 9/day", tenant="9/day") for _ in range(2)]
        whose = [("person", "ada"), ("tenant", "acme")]
        assert [
            [(policy.name, left) for policy, left, _ in limiter.charge(whose)] for limiter in limiters
        ] == [
            [("person-3600", 2), ("person-86400", 8), ("tenant", 8)],
            [("person-3600", 1), ("person-86400", 7), ("tenant", 7)],
        ]  # fmt: skip
        limiters[0].charge(whose, 2, refuse=False)
        with pytest.raises(Exception, match=r"^More than 3 requests in 3600 seconds were yours\. Wait 3600 seconds\.$"):
            limiters[1].charge(whose)
        assert limiters[0].charge([("tenant", "acme")], 0)[0][1:] == (5, 86400)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("none", ()),
        ("600/minute", ((600, 60),)),
        ("20/second, 600 / minute,5000/2 hours", ((20, 1), (600, 60), (5000, 7200))),
        ("1/Day", ((1, 86400),)),
    ],
)
def test_limits_are_read(value: str, found: Any) -> None:
    assert rates(value) == found


@pytest.mark.parametrize("value", ["", "600", "0/minute", "600/month", "1/minute, 2/60 seconds", "1/99 days", "-1/day"])
def test_wrong_limits_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must"):
        rates(value)
