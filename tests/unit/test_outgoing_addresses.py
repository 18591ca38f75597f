"""Where requests may go that a tenant has asked for: not into our own network, whatever an address or a name says."""

import time
from collections.abc import Sequence
from ipaddress import ip_address
from threading import Event

import pytest

from tenantapp.outgoing.addresses import Addresses, Target, is_public, look_up
from tenantapp.outgoing.errors import RequestFailed, TargetRefused

SPECIAL = """
0.0.0.0 10.1.2.3 100.64.0.1 100.100.100.200 127.0.0.1 127.255.0.9 168.63.129.16 169.254.169.254 172.16.0.1
172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.9 224.0.0.1 239.1.1.1
240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe
64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1:: 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%1 fec0::1
ff02::1 4000::1
""".split()  # noqa: SIM905
PUBLIC = """
1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.169.0.1 223.255.255.255
2606:4700:4700::1111 2a00:1450:4001::5 ::ffff:1.1.1.1 64:ff9b::101:101
""".split()  # noqa: SIM905
WRONG = [
    # Other spellings of 127.0.0.1, which some programs read and others do not.
    *("http://0x7f.1", "http://0x7f000001/", "http://2130706433/", "http://017700000001/", "http://127.1/"),
    *("http://127.0.0.1./", "http://127.0.0.01/", "http://0177.0.0.1/", "http://127.0.0.1.:80/", "http://127.0.0.0x1"),
    *("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::1]", "http://[0:0:0:0:0:0:0:1]/x"),
    *("http://[fe80::1%25eth0]/", "http://[::1%251]/", "http://[::g]/", "http://[::1", "http://①②⑦.0.0.1/"),
    *(
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://127。0。0。1/",
        "http://localhost/",
        "http://localhost./",
        "http://metadata/",
    ),
    # A host that is not where it seems to be.
    *("https://example.com@127.0.0.1/", "https://127.0.0.1#@example.com/", "https://user:pass@example.com/"),
    *("https://example.com\\@127.0.0.1/", "https:\\\\127.0.0.1/", "https://127.0.0.1%2f@example.com/"),
    *("https://ex%61mple.com/", "https://example.com%00.evil.org/", "https://example.com\t.evil.org/", "https:///x"),
    *("//example.com/", "https:example.com", "https://", "https://.", "https://example..com/", "https://-a.com/"),
    *("https://example.com./", "https://exa mple.com/", " https://example.com/", "https://example.com/ "),
    # Other protocols, and requests within the request.
    *("ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "HTTPS://example.com/"),
    *("https://example.com/\r\nX: y", "https://example.com/\nx", "https://example.com/ HTTP/1.1", "https://e.com/é"),
    *("https://example.com/#part", f"https://example.com/{'x' * 1000}", f"https://{'a' * 64}.com/"),
    *(f"https://example.com:{port}/" for port in ("0", "22", "25", "80", "0443", "65536", "99999", "-1", "x", "")),
]


def leading_to(*found: str) -> Addresses:
    """Every name leads to these addresses."""
    return Addresses(allow_http=True, allow_private=False, resolve=lambda *_: found)


@pytest.mark.parametrize("address", SPECIAL)
def test_a_special_address_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("url", WRONG)
def test_a_url_has_one_spelling(url: str) -> None:
    with pytest.raises(TargetRefused):
        leading_to("1.1.1.1").read(url)


@pytest.mark.parametrize("address", [each for each in SPECIAL if "%" not in each])
def test_a_special_address_is_refused_as_a_host_and_behind_a_name(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(TargetRefused):
        leading_to("1.1.1.1").read(f"http://{host}/")
    for found in ([address], ["1.1.1.1", address]):
        with pytest.raises(TargetRefused, match="not a public one"):
            leading_to(*found).check("https://example.com/", 1)
        with pytest.raises(TargetRefused, match="not a public one"):
            leading_to(*found).of(Target("https", "example.com", 443, "/"), 1)


def test_a_url_is_taken_apart() -> None:
    read = leading_to("1.1.1.1").read
    assert read("https://Example.com") == Target("https", "example.com", 443, "/")
    assert read("https://xn--bcher-kva.example:8443/a/b?c=d&e") == Target(
        "https", "xn--bcher-kva.example", 8443, "/a/b?c=d&e"
    )
    assert read("http://1.1.1.1?x") == Target("http", "1.1.1.1", 80, "/?x")
    six = read("https://[2606:4700:4700::1111]:8443/")
    assert (six.host, six.authority) == ("2606:4700:4700::1111", "[2606:4700:4700::1111]:8443")


def test_plain_http_and_private_addresses_are_for_development() -> None:
    with pytest.raises(TargetRefused, match="https://"):
        Addresses(allow_http=False, allow_private=True).read("http://127.0.0.1:80/")
    open_to_all = Addresses(allow_http=True, allow_private=True)
    for url in ("http://127.0.0.1:22/", "http://localhost/", "https://[::1]:8000/", "http://receiver:9000/"):
        open_to_all.read(url)
    open_to_all.check("http://localhost/", 1)
    with pytest.raises(TargetRefused, match="four decimal numbers"):
        open_to_all.read("http://2130706433/")


def test_a_name_that_nobody_knows_now_is_looked_up_again() -> None:
    def fail(host: str, port: int, seconds: float) -> Sequence[str]:
        raise OSError("no such name")

    addresses = Addresses(allow_http=False, allow_private=False, resolve=fail)
    addresses.check("https://example.com/", 1)
    with pytest.raises(RequestFailed, match=r"example\.com could not be resolved: no such name"):
        addresses.of(addresses.read("https://example.com/"), 1)


def test_a_name_server_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    over = Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: over.wait(10) and [])
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        look_up("slow.example.com", 443, 0.05)
    over.set()
    assert time.monotonic() - began < 5
