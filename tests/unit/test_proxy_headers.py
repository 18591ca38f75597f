"""Whose word counts about the client, the scheme and the host: the outermost trusted proxy's, and nobody else's."""

import json
from typing import Any

import pytest

from tenantapp.serving.proxy_headers import HEADERS, Malformed, Told, TrustedProxy, believe_proxy, told_by

PROXY, CLIENT = "192.0.2.1", "203.0.113.9"
ALL = frozenset(HEADERS)


def seen(proxy: TrustedProxy, peer: str = PROXY, **headers: str) -> dict[str, Any]:
    """The environment that the application gets, or the problem document under ``refused``."""
    found: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        found.update(environ)
        return []

    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_HOST": "inner:6543", "SERVER_PORT": "6543"}
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    body = b"".join(believe_proxy(app, proxy)(environ, lambda *start: None))
    return found or {"refused": json.loads(body)}


@pytest.mark.parametrize(
    ("count", "header", "scheme"),
    [
        (1, "https", "https"),
        (1, "https, http", "http"),
        (1, "http, https", "https"),
        (2, "https, http", "https"),
        (2, "http,https , http", "https"),
        (3, "https", "https"),
        (1, " ,, https ,, ", "https"),
        (1, "HTTPS", "https"),
        (1, '"https"', "https"),
        (1, "", ""),
        (1, ",", ""),
    ],
)
def test_the_outermost_trusted_proxy_counts_from_the_right(count: int, header: str, scheme: str) -> None:
    assert told_by({"X_FORWARDED_PROTO": header}, count).scheme == scheme
    assert told_by({"X_FORWARDED_HOST": header.lower().replace('"', "")}, count).host == scheme


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (f"192.0.2.7, {CLIENT}", CLIENT),
        (f"junk, <script>, {CLIENT}", CLIENT),
        (f"{CLIENT}:1234", CLIENT),
        ("2001:db8::1", "2001:db8::1"),
        ('"[2001:db8::1]:80"', "2001:db8::1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        *((hidden, "") for hidden in ("unknown", "_secret", "999.0.0.1", "a.example", "[::1", "")),
    ],
)
def test_the_client_is_an_address_or_stays_who_connected(header: str, client: str) -> None:
    assert told_by({"X_FORWARDED_FOR": header}, 1).client == client
    assert seen(TrustedProxy(PROXY), x_forwarded_for=header)["REMOTE_ADDR"] == (client or PROXY)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (f"for={CLIENT};proto=https;host=a.example", Told(CLIENT, "a.example", "https")),
        (f'For="[2001:db8::1]:80" ; Proto=HTTPS; by=_x, for={CLIENT}', Told(CLIENT)),
        ('for="a,b;c=d", host="a.example:8443"', Told("", "a.example:8443")),
        (r'for="\"unknown\""; proto=https', Told("", "", "https")),
        (",, proto=https ,", Told("", "", "https")),
    ],
)
def test_forwarded_is_read_as_its_standard_says(header: str, told: Told) -> None:
    assert told_by({"FORWARDED": header, "X_FORWARDED_HOST": ""}, 1) == told


@pytest.mark.parametrize(
    "header",
    [
        {"x_forwarded_proto": "gopher"},
        {"x_forwarded_proto": "https; http"},
        {"x_forwarded_host": "a b"},
        {"x_forwarded_host": "a.example/x"},
        {"x_forwarded_host": "a.example:99999"},
        {"x_forwarded_port": "0"},
        {"x_forwarded_port": "99999"},
        {"x_forwarded_port": "\xb2"},
        {"x_forwarded_port": "443x"},
        {"forwarded": "for"},
        {"forwarded": 'for="a'},
        {"forwarded": "for=a b"},
        {"forwarded": "proto=gopher"},
        {"forwarded": "host=<b>"},
    ],
)
def test_what_the_proxy_cannot_have_meant_is_400(header: dict[str, str]) -> None:
    refused = seen(TrustedProxy(PROXY, headers=ALL), **header)["refused"]
    assert (refused["status"], refused["code"]) == (400, "bad_request")
    assert seen(TrustedProxy(PROXY, headers=ALL), "192.0.2.99", **header)["wsgi.url_scheme"] == "http", "ignored"


def test_hosts_and_ports() -> None:
    def host(**headers: str) -> tuple[str, str, str]:
        environ = seen(TrustedProxy(PROXY), **headers)
        return environ["HTTP_HOST"], environ.get("SERVER_NAME", ""), environ["SERVER_PORT"]

    assert host() == ("inner:6543", "", "6543")
    https = {"x_forwarded_proto": "https", "x_forwarded_host": "a.example"}
    assert host(**https) == ("a.example", "a.example", "443")
    assert host(**https, x_forwarded_port="443") == ("a.example", "a.example", "443")
    assert host(**https, x_forwarded_port="80") == ("a.example:80", "a.example", "80")
    assert host(**https, x_forwarded_port="8443, 444") == ("a.example:444", "a.example", "444")
    assert host(x_forwarded_host="[::1]:81", x_forwarded_port="443") == ("[::1]:81", "[::1]", "81")
    assert host(x_forwarded_host="[::1]") == ("[::1]", "[::1]", "6543")
    with pytest.raises(Malformed):
        told_by({"X_FORWARDED_HOST": "[::1"}, 1)


def test_the_application_gets_no_header_that_a_client_may_have_sent() -> None:
    forged = {name.replace("-", "_"): "x" for name in (*HEADERS, "x-forwarded-by")}
    believing = {"x_request_id": "of-the-proxy", "x_forwarded_for": CLIENT}
    for proxy, peer, headers in (
        (TrustedProxy(), PROXY, forged),
        (TrustedProxy(PROXY), "192.0.2.99", forged),
        (TrustedProxy(PROXY, headers=frozenset({"x-forwarded-for"})), PROXY, forged),
        (TrustedProxy("*"), PROXY, believing),
    ):
        left = {name for name in seen(proxy, peer, **headers) if name.startswith("HTTP_")}
        assert left == {"HTTP_HOST"}
    environ = seen(TrustedProxy(PROXY, headers=ALL), **believing)
    assert (environ["HTTP_X_REQUEST_ID"], environ["REMOTE_ADDR"]) == ("of-the-proxy", CLIENT)
