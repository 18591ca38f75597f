"""The parsers of settings. Each raises ``ValueError`` with a predicate whose subject is the setting's name.

Long: the parsers stand together, as the settings do.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from sqlalchemy.engine import URL

    from tenantapp.email_addresses import Mailbox

DRIVERS: Final = ("sqlite+pysqlite", "postgresql+psycopg2")
ORIGIN: Final = re.compile(r"https?://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?")
DEFAULT_PORT: Final = re.compile(r"http:.*:80|https:.*:443")  # browsers leave it out
REDIS: Final = re.compile(r"rediss?://[^\s/?#]+(/[0-9]{1,4})?|unix:///\S+")
INTEGER: Final = re.compile(r"-?[0-9]{1,30}")
# RFC 6838, section 4.2: the names of a type and a subtype.
MEDIA_NAME: Final = "[a-z0-9][a-z0-9!#$&^_.+-]{0,62}"
MEDIA_RANGE: Final = re.compile(rf"\*/\*|{MEDIA_NAME}/(\*|{MEDIA_NAME})")
EXTENSION: Final = re.compile(r"[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*")
ARCHIVERS: Final = ("pgbackrest",)
# A name, an IPv4 address, an IPv6 address in brackets, or the directory of a Unix socket; and a port.
ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|(/[^\s:]+)|([A-Za-z0-9._-]+))(?::([1-9][0-9]{0,4}))?")
STANZA: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
RATE: Final = re.compile(r"([0-9]{1,12}) ?/ ?([0-9]{1,7} ?)?(second|minute|hour|day)s?")
UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
MOST_REQUESTS: Final = 1_000_000_000
LONGEST_WINDOW: Final = 31 * 86400  # seconds


class ArchiveName(NamedTuple):
    """What archives the write-ahead log of a server, and the name that it has there."""

    archiver: str
    name: str


class Address(NamedTuple):
    """Where a PostgreSQL server listens. A host that begins with a slash is the directory of a Unix socket."""

    host: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def text(value: str) -> str:
    """Return the text. Raises ``ValueError`` if it is empty."""
    if not value:
        raise ValueError("must not be empty")
    return value


def package(value: str) -> str:
    """Return the name of a package. Raises ``ValueError`` if the package cannot be found, or if there are two names."""
    if len(names := value.replace(",", " ").split()) > 1:
        raise ValueError(
            f"must name one package, whose includeme includes {' and '.join(names)}: a tenant database has one history"
        )
    try:
        found = find_spec(value)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ValueError(f"names a package that is not installed: {value}")
    return value


def flag(value: str) -> bool:
    """Return True for ``true``, ``yes``, ``on`` or ``1``, and False for their opposites. Raises ``ValueError``."""
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    try:
        return words[value.lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def integer(value: str) -> int:
    """Return an integer. Raises ``ValueError``. ``number`` has bounds, which are better."""
    if not INTEGER.fullmatch(value):
        raise ValueError("must be an integer")
    return int(value)


def decimal_number(value: str) -> float:
    """Return a number. Raises ``ValueError``."""
    if not NUMBER.fullmatch(value.removeprefix("-")) or not math.isfinite(float(value)):
        raise ValueError("must be a number")
    return float(value)


def number(kind: type[int] | type[float], low: float, high: float, unit: str) -> Callable[[str], float]:
    """Return a parser of numbers of ``unit`` from ``low`` to ``high``, both included."""

    def parse(value: str) -> float:
        try:
            # Python would also read 1_000 and the digits of every script.
            number = kind(value if NUMBER.fullmatch(value) else -1)
        except ValueError:
            number = kind(-1)
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError(f"must be a number of {unit} from {low:g} to {high:g}")
        return number

    return parse


def hosts(value: str) -> frozenset[str]:
    """Return names and addresses of hosts, separated by spaces, without ports. Raises ``ValueError``."""
    found = frozenset(word.lower().strip("[]").removesuffix(".") for word in value.split())
    if not found or any(not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host) for host in found):
        raise ValueError("must be names or addresses of hosts, without ports")
    return found


def listening(value: str) -> tuple[str, int]:
    """Return an IP address and a port to listen on: ``127.0.0.1:9464``, ``[::1]:9464``. Raises ``ValueError``."""
    from ipaddress import ip_address

    match = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([0-9.]+)):([0-9]{1,5})", value.lower())
    try:
        address = ip_address(match[1] or match[2] if match else "")
    except ValueError:
        address = None
    if address is None or match is None or int(match[3]) > 65535:
        raise ValueError("must be an IP address and a port, such as 127.0.0.1:9464 or [::1]:9464")
    return str(address), int(match[3])


def dns_servers(value: str) -> tuple[tuple[str, int], ...]:
    """Return addresses and ports of DNS servers: ``192.0.2.53 [2001:db8::53]:5353``. Raises ``ValueError``."""
    from ipaddress import ip_address

    found = []
    for word in value.split():
        match = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?|([0-9a-f:.]+)", word.lower())
        try:
            address = ip_address(match[1] or match[2] or match[4] if match else "")
        except ValueError:
            address = None
        port = int(match[3] or 53) if match else 0
        if address is None or not 1 <= port <= 65535:
            raise ValueError("must be IP addresses, separated by spaces, each with a port if it is not 53")
        found.append((str(address), port))
    if not found:
        raise ValueError("must have an address")
    return tuple(found)


def origins(value: str) -> frozenset[str]:
    """Return origins of pages, separated by spaces, as browsers write them (RFC 6454). Raises ``ValueError``."""
    found = frozenset(value.split())
    if any(not ORIGIN.fullmatch(origin) or DEFAULT_PORT.fullmatch(origin) for origin in found):
        raise ValueError(
            "must be origins like https://app.example or http://localhost:5173: in lower case, without path, without "
            "the scheme's own port, and without *"
        )
    return found


def web_address(value: str) -> str:
    """Return the address of the page, ``https://app.example.com`` or with a path. Raises ``ValueError``."""
    from urllib.parse import urlsplit

    address = value.rstrip("/")
    parts = urlsplit(address)
    if not ORIGIN.fullmatch(f"{parts.scheme}://{parts.netloc}") or parts.query or parts.fragment or " " in value:
        raise ValueError(
            "must be like https://app.example.com or http://localhost:6543: in lower case, without a query"
        )
    return address


class Rate(NamedTuple):
    """A limit: at most so many requests in so many seconds."""

    most: int
    seconds: int


def rates(value: str) -> tuple[Rate, ...]:
    """Return limits, separated by commas: ``600/minute, 20/second``, or none: ``none``. Raises ``ValueError``."""
    if value == "none":
        return ()
    matches = [RATE.fullmatch(part.strip().lower()) for part in value.split(",")]
    found = tuple(Rate(int(match[1]), int(match[2] or 1) * UNITS[match[3]]) for match in matches if match)
    if len(found) < len(matches) or len({rate.seconds for rate in found}) < len(found):
        raise ValueError("must be like 600/minute, or like 20/second, 5000/2 hours with another time each; or none")
    if any(not 1 <= rate.most <= MOST_REQUESTS or not 1 <= rate.seconds <= LONGEST_WINDOW for rate in found):
        raise ValueError(f"must have from 1 to {MOST_REQUESTS} requests, in at most 31 days")
    return found


def media_types(value: str) -> frozenset[str]:
    """Return media types and ranges of them: ``image/* application/pdf``. Raises ``ValueError``."""
    found = frozenset(value.lower().split())
    if not found or any(not MEDIA_RANGE.fullmatch(each) for each in found):
        raise ValueError("must be media types such as application/pdf, or ranges such as image/*")
    return found


def retention(value: str) -> Mapping[str, int]:
    """Return how many backups to keep, by frequency: ``daily 7, weekly 4``. Raises ``ValueError``."""
    matches = [re.fullmatch(r"(daily|weekly|monthly|yearly) +([0-9]{1,4})", part.strip()) for part in value.split(",")]
    found = {match[1]: int(match[2]) for match in matches if match}
    if len(found) < len(matches):
        raise ValueError("must be like: daily 7, weekly 4, monthly 12, yearly 3")
    return found


def time_of_day(value: str) -> time:
    """Return a time of day. Raises ``ValueError``."""
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError("must be a time of day such as 03:30")
    return time.fromisoformat(value)


def choice(*words: str) -> Callable[[str], str]:
    """Return a parser that accepts one of these words."""

    def parse(value: str) -> str:
        if value not in words:
            raise ValueError(f"must be one of: {', '.join(words)}")
        return value

    return parse


def secret(value: str) -> str:
    """Return a secret. Raises ``ValueError`` if it is short enough to be guessed."""
    if len(value) < 32:
        raise ValueError("must have at least 32 characters")
    return value


def database_url(value: str) -> "URL":
    """Return a database URL. Raises ``ValueError``.

    The URL must name the driver: in SQLAlchemy 2.1, a bare ``postgresql://`` means psycopg 3.
    """
    # Imported only now: shell completion reads settings, and must not wait for SQLAlchemy.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(value)
    except ArgumentError:
        raise ValueError("is not a database URL") from None
    if url.drivername not in DRIVERS:
        raise ValueError(f"must begin with one of: {', '.join(f'{driver}://' for driver in DRIVERS)}")
    if not url.database and url.drivername.startswith("sqlite"):
        raise ValueError("must name a path")
    return url


def redis_url(value: str) -> str:
    """Return the URL of a Redis. Raises ``ValueError``, also if the package for it is not installed."""
    if not REDIS.fullmatch(value):
        raise ValueError("must be like redis://host:6379/0, rediss://host:6379/0 or unix:///path/to/socket")
    if find_spec("redis") is None:
        raise ValueError("needs a package that is not installed: run `pip install tenantapp[redis]`")
    return value


def traces_address(value: str) -> str:
    """Return the address of a collector for traces, which may have a path.

    Raises ``ValueError``, also if the package for it is not installed.
    """
    address = web_address(value)
    try:
        found = find_spec("opentelemetry.exporter.otlp.proto.http") and find_spec("opentelemetry.sdk")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ValueError("needs a package that is not installed: run `pip install tenantapp[opentelemetry]`")
    return address


def mail_url(value: str) -> "SplitResult":
    """Return the URL of a mail server or of a directory. Raises ``ValueError``.

    A password is sent over TLS only: that of ``smtps://``, or STARTTLS, which only ``?starttls=no`` does without.
    """
    from urllib.parse import urlsplit

    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if url.scheme == "file" and not url.netloc and url.path.startswith("/") and not url.query:
        return url
    if url.scheme not in ("smtp", "smtps") or not url.hostname or url.path.strip("/") or url.fragment:
        raise ValueError("must be like smtp://host:587, smtps://user:password@host or file:///path/to/directory")
    if url.query not in ("", "starttls=no") or (url.query and url.scheme == "smtps"):
        raise ValueError("has an option other than starttls=no, which is for smtp://")
    if (url.username or url.password) and not (url.username and url.password):
        raise ValueError("must have a user and a password, or neither")
    if url.query and url.username:
        raise ValueError("must not have both a password and starttls=no, which would send it over the network in clear")
    return url


def audit_stream(value: str) -> "SplitResult":
    """Return the URL of what takes the audit trail. Raises ``ValueError``."""
    from urllib.parse import urlsplit

    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        raise ValueError("is not a URL") from None
    of_a_server = url.scheme == "https" or (url.scheme in ("syslog+tcp", "syslog+udp") and url.path in ("", "/"))
    if of_a_server and url.hostname and not url.fragment and not url.username:
        return url
    if url.scheme == "syslog+unix" and not url.netloc and url.path.startswith("/"):
        return url
    raise ValueError(
        "must be like https://host/path, syslog+tcp://host:514, syslog+udp://host:514 or syslog+unix:///dev/log"
    )


def signing_secret(value: str) -> str:
    """Return a secret of Standard Webhooks. Raises ``ValueError``."""
    from base64 import b64decode

    try:
        is_long = len(b64decode(value.removeprefix("whsec_"), validate=True)) >= 24
    except ValueError:
        is_long = False
    if not value.startswith("whsec_") or not is_long:
        raise ValueError("must be whsec_ and at least 24 random bytes in base64")
    return value


def mailbox(value: str) -> "Mailbox":
    """Return an address of email, perhaps with a name: ``Shop <shop@example.com>``. Raises ``ValueError``."""
    from tenantapp.email_addresses import read_mailbox

    try:
        return read_mailbox(value)
    except ValueError:
        raise ValueError("must be like shop@example.com or Shop <shop@example.com>") from None


def pgbouncer_url(value: str) -> "URL":
    """Return the URL of a PgBouncer. Raises ``ValueError``.

    The URL has no role, password or database: each connection through the PgBouncer brings its own.
    """
    url = database_url(value)
    if not url.drivername.startswith("postgresql"):
        raise ValueError("must begin with postgresql+psycopg2://")
    if url.username or url.password or url.database:
        raise ValueError("must name no role, password or database")
    if "options" in url.query:
        raise ValueError("must have no options: PgBouncer refuses them")
    return url


def extension_names(value: str) -> tuple[str, ...]:
    """Return the names of PostgreSQL extensions, which commas separate. Raises ``ValueError``."""
    names = tuple(name.strip() for name in value.split(","))
    for wrong in (name for name in names if not EXTENSION.fullmatch(name)):
        raise ValueError(f"must name extensions of PostgreSQL, such as vector, postgis; {wrong!r} is none")
    if len(set(names)) < len(names):
        raise ValueError("must name each extension once, such as vector, postgis")
    return names


def addresses(value: str) -> tuple[Address, ...]:
    """Return addresses of PostgreSQL servers: ``db2.example.org:5432 [2001:db8::2]``. Raises ``ValueError``."""
    found = []
    for word in value.split():
        match = ADDRESS.fullmatch(word)
        port = int(match[4]) if match and match[4] else None
        if match is None or (port or 1) > 65535:
            raise ValueError(f"must be like db2.example.org:5432 db3.example.org:5432; {word!r} is no address")
        found.append(Address(match[1] or match[2] or match[3], port))
    if not found:
        raise ValueError("must have an address")
    if len(set(found)) < len(found):
        raise ValueError("must name each address once")
    return tuple(found)


def archive_name(value: str) -> ArchiveName:
    """Return what archives the log of a server, and the name there: ``pgbackrest:STANZA``. Raises ``ValueError``."""
    archiver, _, name = value.partition(":")
    if archiver not in ARCHIVERS or not STANZA.fullmatch(name):
        raise ValueError("must be pgbackrest: and the name of a stanza, such as pgbackrest:main")
    return ArchiveName(archiver, name)


def user_database_url(value: str) -> "URL":
    """Return a database URL. Raises ``ValueError``, also if the URL names no database."""
    url = database_url(value)
    if not url.database:
        raise ValueError("must name a database")
    return url
