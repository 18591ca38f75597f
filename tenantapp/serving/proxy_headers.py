"""Believe a trusted proxy, and nobody else, about who asks, by which scheme, and for which host.

Each proxy adds its value at the end of a list, so values count from the right: of ``trusted_proxy_count`` proxies, the
outermost one wrote the last but ``trusted_proxy_count - 1``. What stands further left came with the request. A proxy
that replaces a header leaves one value in it, which counts. The application gets the result in the variables of
WSGI, and none of the headers.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

from tenantapp.serving.refusals import answering, refusal

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]

DEFAULT_HEADERS: Final = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port")
HEADERS: Final = (*DEFAULT_HEADERS, "forwarded", "x-request-id", "traceparent")
FORWARDING: Final = ("X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_FORWARDED_PROTO", "X_FORWARDED_PORT", "FORWARDED")
# The application reads these, if the proxy that sends them is trusted for them.
KEPT: Final = {"x-request-id": "HTTP_X_REQUEST_ID", "traceparent": "HTTP_TRACEPARENT"}
UNUSED: Final = ("X_FORWARDED_BY",)
LISTENING_PORT: Final = "tenantapp.listening_port"  # in the environment: whatever a proxy says, we listen on this one
PORTS: Final = {"http": "80", "https": "443"}
HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::([0-9]{1,5}))?")
ADDRESS: Final = re.compile(
    r"\[(?P<six>[0-9A-Fa-f:.]+)\](?::[0-9]+)?|(?P<four>[0-9.]+)(?::[0-9]+)?|(?P<bare>[0-9A-Fa-f:.]+)"
)
# RFC 7239, section 4: elements of pairs, whose values are tokens or quoted. Addresses and hosts may stand unquoted.
VALUE: Final = r'(?:"(?:[^"\\]|\\.)*"|[^\s",;=]*)'
PAIR: Final = rf"[A-Za-z0-9!#$%&'*+.^_`|~-]+={VALUE}"
ELEMENT: Final = re.compile(rf"\s*({PAIR}(?:\s*;\s*(?:{PAIR})?)*)?\s*")
PAIRS: Final = re.compile(rf"([^\s;=]+)=({VALUE})")
SEPARATE: Final = re.compile(r'((?:[^",]|"(?:[^"\\]|\\.)*")*)(?:,|$)')


class Malformed(Exception):
    """A header of the trusted proxy cannot be understood."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the outermost trusted proxy says of a request. An empty text says nothing."""

    client: str = ""
    host: str = ""
    scheme: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True)
class TrustedProxy:
    """The proxy to trust: its address, or ``*``; the number of proxies; and the headers that they set."""

    address: str | None = None
    count: int = 1
    headers: frozenset[str] = field(default=frozenset(DEFAULT_HEADERS))

    def is_at(self, address: str) -> bool:
        """Return whether a connection from this address is the proxy's."""
        return self.address is not None and self.address in ("*", address)


def believe_proxy(app: Application, proxy: TrustedProxy) -> Application:
    """Wrap the application. A malformed header of the trusted proxy is 400."""

    def wrapped(environ: Environ, start_response: Any) -> Iterable[bytes]:
        peer, environ[LISTENING_PORT] = environ["REMOTE_ADDR"], environ["SERVER_PORT"]
        trusted = proxy.is_at(peer)
        given = {name: environ.pop(f"HTTP_{name}", "") for name in (*FORWARDING, *UNUSED)}
        for name, variable in KEPT.items():
            if not (trusted and name in proxy.headers):
                environ.pop(variable, None)
        if trusted:
            believed = {name: value for name, value in given.items() if name.lower().replace("_", "-") in proxy.headers}
            try:
                _apply(environ, told_by(believed, proxy.count))
            except Malformed:
                return answering(refusal(400, peer, secure=True), start_response)
        return app(environ, start_response)

    return wrapped


def told_by(headers: dict[str, str], count: int) -> Told:
    """Return what the proxies say in these headers, named as WSGI does. Raises ``Malformed``.

    ``Forwarded`` goes before the others (RFC 7239).
    """
    pairs = _pairs(headers.get("FORWARDED", ""), count)
    client = pairs.get("for") or _outermost(headers.get("X_FORWARDED_FOR", ""), count)
    host = pairs.get("host") or _outermost(headers.get("X_FORWARDED_HOST", ""), count)
    scheme = (pairs.get("proto") or _outermost(headers.get("X_FORWARDED_PROTO", ""), count)).lower()
    port = _outermost(headers.get("X_FORWARDED_PORT", ""), count)
    if scheme not in ("", *PORTS) or not _is_port(port or "1") or not (match := HOST.fullmatch(host or "-")):
        raise Malformed
    if match[2] is not None and not _is_port(match[2]):
        raise Malformed
    return Told(_address(client), host, scheme, port)


def _outermost(header: str, count: int) -> str:
    """Return the value of the outermost trusted proxy. Empty elements do not count (RFC 9110, section 5.6.1)."""
    values = [value for each in header.split(",") if (value := each.strip().strip('"').strip())]
    return values[-count:][0] if values else ""


def _pairs(header: str, count: int) -> dict[str, str]:
    """Return the parameters of ``Forwarded``; of several proxies, those of the outermost that says one."""
    found: dict[str, str] = {}
    for element in list(_elements(header))[-count:]:
        for name, value in PAIRS.findall(element):
            found.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value)
    return found


def _elements(header: str) -> Iterator[str]:
    position = 0
    while position < len(header):
        match = SEPARATE.match(header, position)
        if match is None or not ELEMENT.fullmatch(match[1]):
            raise Malformed
        if match[1].strip():
            yield match[1]
        position = match.end()


def _address(client: str) -> str:
    """Return the address without port and brackets, or nothing: a proxy may hide it, as ``unknown`` or ``_name``."""
    match = ADDRESS.fullmatch(client)
    try:
        return str(ip_address(match[match.lastgroup or 0])) if match else ""
    except ValueError:
        return ""


def _is_port(text: str) -> bool:
    return bool(re.fullmatch("[0-9]{1,5}", text)) and 0 < int(text) < 2**16


def _apply(environ: Environ, told: Told) -> None:
    """Write what the proxy says into the variables of WSGI (PEP 3333)."""
    if told.scheme:
        environ["wsgi.url_scheme"] = told.scheme
    if told.client:
        environ["REMOTE_ADDR"] = environ["REMOTE_HOST"] = told.client
    scheme = environ["wsgi.url_scheme"]
    port = told.port or (PORTS[scheme] if told.scheme else "")
    if told.host:
        name, _, own = told.host.rpartition(":") if HOST.fullmatch(told.host)[2] else (told.host, "", "")  # type: ignore[index]
        port = own or port
        shown = "" if own or port in ("", PORTS[scheme]) else f":{port}"
        environ["SERVER_NAME"], environ["HTTP_HOST"] = name, told.host + shown
    if port:
        environ["SERVER_PORT"] = port
