"""To which addresses may requests go that a tenant has asked for?

Not to our own network: OWASP calls the attack server-side request forgery. A URL has one spelling here, so nobody can
write an address in a way that two programs read differently. A name is looked up once for each request, all of its
addresses are checked, and the connection goes to one of just these. So a name that leads elsewhere a moment later
(DNS rebinding) leads nowhere.
"""

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from tenantapp.outgoing.errors import RequestFailed, TargetRefused

URL_LENGTH: Final = 1000  # characters
# Printable ASCII without what belongs to user names (@), fragments, and what some programs take for a slash. RFC 3986.
URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/[!$%&'()*+,./0-9:;=@A-Z_a-z~-]*)?(?P<query>\?[!$%&'()*+,./0-9:;=?@A-Z_a-z~-]*)?"
)
LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a host that ends in one is an IPv4 address: url.spec.whatwg.org
PORTS: Final = {"https": 443, "http": 80}
OPEN_PORTS: Final = 1024  # from here on, a port may be anything. Those below belong to other protocols than HTTP.
# https://www.iana.org/assignments/iana-ipv4-special-registry, multicast, and two that clouds use for themselves.
NOT_PUBLIC: Final = tuple(
    ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",
    )
)
# https://www.iana.org/assignments/iana-ipv6-special-registry. Addresses outside of 2000::/3 are none of the Internet.
INTERNET: Final = ip_network("2000::/3")
NOT_PUBLIC_6: Final = tuple(
    ip_network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
NAT64: Final = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address

Resolver = Callable[[str, int, float], Sequence[str]]
"""Takes a name, a port and a time in seconds. Returns the addresses; raises ``OSError``, which may be a timeout."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart. ``host`` is a name in lower case or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str
    """With the query. It begins with a slash."""

    @property
    def authority(self) -> str:
        """Return what the header ``Host`` has."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def look_up(host: str, port: int, seconds: float) -> Sequence[str]:
    """Return the addresses of a name. It waits no longer than ``seconds``. Raises ``OSError``."""
    answers: SimpleQueue[list[str] | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([str(address[0]) for *_, address in found])
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))

    Thread(target=ask, name="look up", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError("the look-up of the name took too long") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is one of the Internet, and no special one."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in INTERNET and not any(address in network for network in NOT_PUBLIC_6)


class Addresses:
    """Decides by the settings. ``resolve`` looks names up."""

    def __init__(self, *, allow_http: bool, allow_private: bool, resolve: Resolver = look_up) -> None:
        self.allow_http, self.allow_private, self.resolve = allow_http, allow_private, resolve

    def read(self, url: str) -> Target:
        """Return a URL taken apart. It looks nothing up. Raises ``TargetRefused``."""
        found = URL.fullmatch(url) if len(url) <= URL_LENGTH else None
        if found is None:
            raise TargetRefused(
                "This is not a URL such as https://example.com/hooks, in ASCII, without a user name and a fragment."
            )
        scheme = found["scheme"]
        if scheme == "http" and not self.allow_http:
            raise TargetRefused("The URL has to begin with https://.")
        port = int(found["port"] or PORTS[scheme])
        if not self.allow_private and port != PORTS[scheme] and not OPEN_PORTS <= port <= 65535:
            raise TargetRefused(f"The port is {PORTS[scheme]}, or from {OPEN_PORTS} to 65535.")
        if port > 65535:
            raise TargetRefused("There is no such port.")
        host = self._host(found["host"].lower())
        return Target(scheme, host, port, (found["path"] or "/") + (found["query"] or ""))

    def check(self, url: str, seconds: float) -> None:
        """Raise ``TargetRefused`` if a URL leads to an address that is not public, as far as one can tell now.

        A name that nobody can resolve now is accepted: it is looked up again for each request.
        """
        target = self.read(url)
        if self.allow_private:
            return
        try:
            self._checked(self.resolve(target.host, target.port, seconds))
        except OSError:
            return

    def of(self, target: Target, seconds: float) -> Sequence[str]:
        """Return the addresses of a target to connect to. Raises ``TargetRefused`` and ``RequestFailed``."""
        try:
            found = self.resolve(target.host, target.port, seconds)
        except OSError as error:
            raise RequestFailed(f"The name {target.host} could not be resolved: {error.strerror or error}.") from error
        if not found:
            raise RequestFailed(f"The name {target.host} has no address.")
        return self._checked(found)

    def _checked(self, found: Sequence[str]) -> Sequence[str]:
        # Also if only one of several is refused: nobody with good intentions has a name of both kinds.
        if not self.allow_private and not all(is_public(ip_address(address)) for address in found):
            raise TargetRefused("The URL leads to an address that is not a public one.")
        return found

    def _host(self, host: str) -> str:
        if host.startswith("["):
            try:
                address: IPv4Address | IPv6Address = IPv6Address(host[1:-1])
            except ValueError:
                raise TargetRefused("The URL has a wrong IPv6 address.") from None
            return self._public(address)
        labels = host.split(".")
        if NUMBER.fullmatch(labels[-1]):
            try:
                address = IPv4Address(host)
            except ValueError:
                raise TargetRefused("Write an IPv4 address as four decimal numbers.") from None
            return self._public(address)
        if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
            raise TargetRefused("The URL has a wrong host name. Write it without a dot at the end.")
        if len(labels) == 1 and not self.allow_private:
            raise TargetRefused("The host needs a full name, such as example.com.")
        return host

    def _public(self, address: IPv4Address | IPv6Address) -> str:
        if not self.allow_private and not is_public(address):
            raise TargetRefused("The URL leads to an address that is not a public one.")
        return str(address)
