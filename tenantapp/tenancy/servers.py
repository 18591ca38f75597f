"""The servers that hold tenant databases: PostgreSQL servers, and directories of SQLite files."""

import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self
from urllib.parse import quote

from sqlalchemy.engine import URL

from tenantapp.setting_types import Address
from tenantapp.settings import Settings
from tenantapp.sql.role_passwords import RolePassword
from tenantapp.tenancy.errors import ServerError

NONE: Final[Mapping[str, URL]] = MappingProxyType({})
LEADS_TO: Final = frozenset({"host", "hostaddr", "port", "target_session_attrs", "load_balance_hosts"})
"""The parameters of a URL that say which server it leads to."""


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
    def extensions(self) -> tuple[str, ...]:
        """Return the names of the extensions of PostgreSQL that the server's role makes in each database."""
        return ()

    @property
    def behind_pgbouncer(self) -> bool:
        """Return whether requests go through a PgBouncer, which assigns a connection to one transaction at a time."""
        return False

    def traffic_url(self, database: str) -> URL:
        """Return the URL that requests connect with."""
        return self.tenant_url(database)

    def direct(self) -> "Server":
        """Return the same server, without a PgBouncer."""
        return self


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

    ``pgbouncer`` is the URL of the PgBouncer in front of the server, if there is one. ``connection_limit`` is how many
    connections the role of a new tenant may have at a time. With ``former_secret``, roles may still have the password
    that is derived from that. ``extensions`` are those that the server's role makes in each database. ``replicas`` are
    the addresses of its standbys.
    """

    secret: str = field(repr=False, default="")
    pgbouncer: URL | None = None
    former_secret: str | None = field(repr=False, default=None)
    connection_limit: int | None = None
    extensions: tuple[str, ...] = ()
    replicas: tuple[Address, ...] = ()
    # By database. They remember which of the two passwords the server accepts.
    _passwords: dict[str, RolePassword] = field(repr=False, compare=False, default_factory=dict)

    def tenant_password(self, database: str) -> str:
        """Return the password of a tenant's role: 256 bits derived from the secret, so that it need not be stored."""
        present = _derived_password(self.secret, database)
        if self.former_secret is None:
            return present
        former = _derived_password(self.former_secret, database)
        return self._passwords.setdefault(database, RolePassword(present, former))

    def tenant_url(self, database: str) -> URL:
        return self.url.set(database=database, username=database, password=self.tenant_password(database))

    def own_url(self, database: str) -> URL:
        return self.url.set(database=database)

    @property
    def behind_pgbouncer(self) -> bool:
        return self.pgbouncer is not None

    def traffic_url(self, database: str) -> URL:
        return through(self.pgbouncer, self.tenant_url(database))

    def direct(self) -> Server:
        return replace(self, pgbouncer=None)

    def replica_servers(self) -> "dict[str, PostgresServer]":
        """Return each replica as a server, by its address. Databases, roles and passwords are those of this server."""
        query = {name: value for name, value in self.url.query.items() if name not in LEADS_TO}
        url = self.url.set(query=query)
        return {
            str(address): replace(self, url=_at(url, address), pgbouncer=None, replicas=()) for address in self.replicas
        }


class Servers(Mapping[str, Server]):
    """The servers of the settings, by name. PgBouncers may be in front of them, and are used only for requests."""

    def __init__(self, servers: Mapping[str, Server]) -> None:
        self._servers = dict(servers)

    @classmethod
    def of(cls, settings: Settings, *, pgbouncers: bool = False) -> Self:
        """Return the servers of these settings, with ``pgbouncers`` if that is true."""
        in_front = settings.pgbouncers if pgbouncers else NONE
        servers = settings.servers.items()
        return cls({name: _make_server(settings, name, url, in_front.get(name)) for name, url in servers})

    def direct(self) -> Self:
        """Return the same servers, without PgBouncers."""
        return type(self)({name: server.direct() for name, server in self._servers.items()})

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


def _make_server(settings: Settings, name: str, url: URL, pgbouncer: URL | None) -> Server:
    if url.drivername.startswith("sqlite"):
        return SqliteServer(name, url)
    return PostgresServer(
        name,
        url,
        secret=settings.tenancy_secret or "",
        former_secret=settings.tenancy_former_secret,
        pgbouncer=pgbouncer,
        connection_limit=settings.tenancy_connection_limit,
        extensions=settings.extensions.get(name, ()),
        replicas=settings.replicas.get(name, ()),
    )


def _at(url: URL, address: Address) -> URL:
    """Return the URL with this address. libpq takes a host that begins with a slash for the directory of a socket."""
    if address.host.startswith("/"):
        return url.set(host=None, port=address.port).update_query_dict({"host": address.host})
    return url.set(host=address.host, port=address.port)


def _derived_password(secret: str, database: str) -> str:
    return hmac.digest(secret.encode(), f"role:{database}".encode(), hashlib.sha256).hex()
