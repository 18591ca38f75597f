"""The servers that hold tenant databases: PostgreSQL servers, and directories of SQLite files."""

import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from sqlalchemy.engine import URL

from tenantapp.tenancy.errors import ServerError


def sqlite_url(path: Path, *, create: bool = False) -> URL:
    """Return the URL of a SQLite file. Without ``create``, a missing file is an error, not a new empty database."""
    # https://www.sqlite.org/uri.html
    mode = "rwc" if create else "rw"
    return URL.create("sqlite+pysqlite", database=f"file:{quote(str(path))}", query={"mode": mode, "uri": "true"})


def database_url(url: URL, *, create: bool = False) -> URL:
    """Return the URL to connect with, for a URL from the settings. For SQLite, see ``sqlite_url``."""
    if url.drivername.startswith("sqlite"):
        return sqlite_url(Path(str(url.database)), create=create)
    return url


def through(pgbouncer: URL | None, url: URL) -> URL:
    """Return the URL of the same database through a PgBouncer, if there is one, with the same role and password."""
    if pgbouncer is None:
        return url
    return pgbouncer.set(username=url.username, password=url.password, database=url.database)


@dataclass(frozen=True)
class Server(ABC):
    """A place that holds tenant databases."""

    name: str
    url: URL = field(repr=False)

    @abstractmethod
    def tenant_url(self, database: str) -> URL:
        """Return the URL of a database on the server itself, with its tenant's role, for work that needs a session."""

    def own_url(self, database: str) -> URL:
        """Return the URL of a database with the role that made it, which can read it while the tenant is locked out."""
        return self.tenant_url(database)

    @property
    def address(self) -> str:
        """Return where the server is, for people: its host and port, as far as they are given."""
        return ":".join(str(part) for part in (self.url.host, self.url.port) if part) or "localhost"

    @property
    def behind_pgbouncer(self) -> bool:
        """Return whether requests go through a PgBouncer, which assigns a connection to one transaction at a time."""
        return False

    def traffic_url(self, database: str) -> URL:
        """Return the URL that requests connect with."""
        return self.tenant_url(database)


@dataclass(frozen=True)
class SqliteServer(Server):
    """A directory. Each database is a file in it."""

    @property
    def directory(self) -> Path:
        return Path(str(self.url.database))

    @property
    def address(self) -> str:
        return str(self.directory)

    def path(self, database: str) -> Path:
        """Return the file of a database."""
        return self.directory / f"{database}.sqlite"

    def tenant_url(self, database: str) -> URL:
        return sqlite_url(self.path(database))


@dataclass(frozen=True)
class PostgresServer(Server):
    """A PostgreSQL server. ``url`` is for provisioning. A tenant connects with the role that has its database's name.

    ``pgbouncer`` is the URL of the PgBouncer in front of the server, if there is one.
    """

    secret: str = field(repr=False, default="")
    pgbouncer: URL | None = None

    def tenant_password(self, database: str) -> str:
        """Return the password of a tenant's role: 256 bits derived from the secret, so that it need not be stored."""
        return hmac.digest(self.secret.encode(), f"role:{database}".encode(), hashlib.sha256).hex()

    def tenant_url(self, database: str) -> URL:
        return self.url.set(database=database, username=database, password=self.tenant_password(database))

    def own_url(self, database: str) -> URL:
        return self.url.set(database=database)

    @property
    def behind_pgbouncer(self) -> bool:
        return self.pgbouncer is not None

    def traffic_url(self, database: str) -> URL:
        return through(self.pgbouncer, self.tenant_url(database))


class Servers(Mapping[str, Server]):
    """The servers of the settings, by name. ``pgbouncers`` are in front of them, and used only for requests."""

    def __init__(
        self, urls: Mapping[str, URL], secret: str | None, pgbouncers: Mapping[str, URL] = MappingProxyType({})
    ) -> None:
        self._servers = {name: _make_server(name, url, secret, pgbouncers.get(name)) for name, url in urls.items()}

    def __getitem__(self, name: str) -> Server:
        try:
            return self._servers[name]
        except KeyError:
            raise ServerError(f"There is no server {name} in the settings.") from None

    def __contains__(self, name: object) -> bool:
        return name in self._servers

    def __iter__(self) -> Iterator[str]:
        return iter(self._servers)

    def __len__(self) -> int:
        return len(self._servers)

    @property
    def default(self) -> Server:
        """Return the server of new tenants: ``main``, or the first server of the settings if there is no ``main``."""
        return self._servers.get("main") or next(iter(self._servers.values()))

    def chosen(self, name: str | None) -> Server:
        """Return the server with this name, or the default server for None. Raises ``ServerError``."""
        return self.default if name is None else self[name]


def _make_server(name: str, url: URL, secret: str | None, pgbouncer: URL | None) -> Server:
    if url.drivername.startswith("sqlite"):
        return SqliteServer(name, url)
    return PostgresServer(name, url, secret=secret or "", pgbouncer=pgbouncer)
