"""What identity providers publish: read seldom, bounded, and left alone for a while after a failure."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from tenantapp.federation.errors import IdentityProviderUnavailable, SingleSignOnFailed, TooManyConversations
from tenantapp.federation.issuers import KEPT, KEYS_AGAIN, PAUSE, ClientOf, Issuers
from tenantapp.outgoing.addresses import Addresses

KEYS = {"keys": [RSAKey.generate_key(2048).as_dict(private=False), {"kty": "new"}]}


class Site:
    """A provider that answers what a test says, and counts who asks for what."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.issuer = f"http://127.0.0.1:{server.server_port}"
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/auth",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            },
            "/keys": KEYS,
        }
        self.metadata = self.answers["/.well-known/openid-configuration"]
        self.hold: Event | None = None
        self.held = Barrier(2, timeout=10)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            if site.hold is not None:
                site.held.wait()
                site.hold.wait(10)
            answer = site.answers.get(self.path, 404)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(server)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield site
    server.shutdown()
    server.server_close()


def issuers(clock: Clock, most: int = 2) -> Issuers:
    return Issuers(Addresses(allow_http=True, allow_private=True), seconds=5, most=most, clock=clock)


def test_what_is_known_is_not_asked_again_and_keys_are_within_bounds(site: Site) -> None:
    clock = Clock()
    found = issuers(clock)
    for _ in range(3):
        assert found.keys(site.issuer, again=True).keys  # one that nobody knows yet is left out
    assert site.asked == ["/.well-known/openid-configuration", "/keys"]
    clock.now += KEYS_AGAIN + 1
    for _ in range(3):
        found.keys(site.issuer, again=True)
    assert site.asked.count("/keys") == 2
    clock.now += KEPT + 1
    found.keys(site.issuer)
    assert (len(site.asked), site.asked.count("/keys")) == (5, 3)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/.well-known/openid-configuration", {"issuer": "https://other.example.com"}),
        ("/.well-known/openid-configuration", b"no JSON"),
        ("/.well-known/openid-configuration", [1]),
        ("/.well-known/openid-configuration", 404),
        ("/.well-known/openid-configuration", b"x" * 600_000),
        ("/keys", {"keys": "none"}),
        ("/keys", {"keys": []}),
        ("/keys", {"keys": [{"kty": "RSA"}]}),
        ("/keys", {"keys": [{}] * 51}),
        ("/keys", 500),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_provider_that_is_wrong_is_told_and_left_alone_for_a_while(path: str, answer: Any, site: Site) -> None:
    right, clock = site.answers[path], Clock()
    site.answers[path] = answer
    found = issuers(clock)
    for _ in range(3):
        with pytest.raises(IdentityProviderUnavailable, match="The identity provider cannot be used"):
            found.keys(site.issuer)
    assert site.asked.count(path) == 1
    site.answers[path] = right
    clock.now += PAUSE + 1
    assert found.keys(site.issuer)


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint"])
@pytest.mark.parametrize("address", ["javascript:alert(1)", "https://user@example.com/", 5])
def test_an_address_that_is_none_is_refused(name: str, address: Any, site: Site) -> None:
    site.metadata[name] = address
    with pytest.raises(IdentityProviderUnavailable):
        issuers(Clock()).metadata(site.issuer)


def test_few_wait_for_providers_at_once(site: Site) -> None:
    """So the other threads of the process serve everybody else."""
    site.hold = Event()
    found = issuers(Clock(), most=1)
    waiting = Thread(target=found.metadata, args=(site.issuer,))
    waiting.start()
    site.held.wait()
    with pytest.raises(TooManyConversations):
        found.metadata("https://other.example.com")
    site.hold.set()
    waiting.join()
    site.hold = None
    assert found.keys(site.issuer)


def test_a_wrong_secret_is_called_by_its_name(site: Site) -> None:
    site.answers["/token"] = {"error": "invalid_grant"}
    found, client = issuers(Clock()), ClientOf("us", None)
    assert found.redeem(site.issuer, client, "code", "https://us.example.com", "v") == {"error": "invalid_grant"}
    site.answers["/token"] = 401
    with pytest.raises(SingleSignOnFailed, match="refused the sign-in"):
        found.redeem(site.issuer, client, "code", "https://us.example.com", "v")
