"""A whole tenantapp for the tests: databases, application, people."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection
from sqlalchemy.orm import Session, SessionTransaction
from webtest import TestApp

from tenantapp import main
from tenantapp.databases.servers.templates import installation_mark
from tenantapp.fleet.creating.create import create_tenant
from tenantapp.identity import grants, groups, users
from tenantapp.identity.passwords import hash_password
from tenantapp.identity.tenants import get_tenant, list_tenants
from tenantapp.operations.fleet import opened_fleet
from tenantapp.settings import read_settings
from tenantapp.sql.prepared import PreparedSelect
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.testing import Documented
from tests.golden import lend_templates, make_user_database

PASSWORD = "correct horse battery"
MEMORY = 8  # KiB; signing in is not what most tests are about
PASSWORD_HASH = hash_password(PASSWORD, MEMORY)
SECRET = "a secret for the tests, long enough for all of it"
TENANTS = ("acme", "globex")
# How long a test waits for a database is a matter of what else the machine does. Tests of slowness set these.
# The page has tests of its own.
PATIENT = {
    "connections.slow": "30",
    "connections.deadline": "60",
    "passwords.memory": str(MEMORY),
    "web.directory": "none",
    # Of each process. The storage is a directory where a test is about that.
    "files.storage": "memory://files",
}


class Installation:
    """Settings, application and databases of one tenantapp, with the tenants acme and globex, and with people."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.settings = PATIENT | settings
        self._make_user_database()
        self.app = main({}, **self.settings)
        self.registry = self.app.registry
        with ExitStack() as until:
            lend_templates(self.registry.fleet, [self.registry.servers.default], until)
            for slug in TENANTS:
                self.create_tenant(slug)
        with self.registry.user_db.begin() as session:
            add_people(session)

    def _make_user_database(self) -> None:
        with opened_fleet(read_settings(self.settings, {})) as fleet:
            make_user_database(fleet)

    def create_tenant(self, slug: str) -> TenantPlace:
        """Make a tenant with its database."""
        registry = self.registry
        return create_tenant(registry.fleet, slug, name=slug.title())

    @property
    def factories(self) -> list[Any]:
        """Everything that has a pool."""
        return [self.registry.user_db, self.registry.access_reader.database, self.registry.tenant_dbs]

    def checkedout(self) -> int:
        """How many connections are in use, in all pools."""
        return sum(factory.checkedout() for factory in self.factories)

    def close(self) -> None:
        """Close all connections."""
        for factory in self.factories:
            factory.dispose()


def add_people(session: Session) -> None:
    """People with every role in acme, one in globex alone, one in both, one in neither, one who is disabled."""
    for login in ("ada", "ed", "bob", "rita", "gina", "both", "nobody", "gone"):
        users.create_user(session, login, name=login.title(), password_hash=PASSWORD_HASH)
    users.set_enabled(session, "gone", False)
    acme, globex = (get_tenant(session, slug).id for slug in TENANTS)
    groups.create_group(session, "editors")
    groups.join_group(session, "ed", "editors")
    grants.add_grant(session, acme, "editor", group="editors")
    for tenant_id, role, login in (
        (acme, "admin", "ada"),
        (acme, "author", "bob"),
        (acme, "reader", "rita"),
        (acme, "author", "gone"),
        (globex, "admin", "gina"),
        (acme, "author", "both"),
        (globex, "author", "both"),
    ):
        grants.add_grant(session, tenant_id, role, login=login)


@contextmanager
def sqlite_installation(directory: Path, **settings: str) -> Iterator[Installation]:
    """On SQLite files in this directory."""
    installation = Installation(
        {
            "user_db.url": f"sqlite+pysqlite:///{directory}/user.sqlite",
            "servers.main": f"sqlite+pysqlite:///{directory}/tenants/",
            **settings,
        }
    )
    yield installation
    installation.close()


@contextmanager
def postgres_installation(server: URL, **settings: str) -> Iterator[Installation]:
    """On databases of this PostgreSQL server, removed at the end."""
    database = f"users_{secrets.token_hex(4)}"
    installation = Installation(
        {
            "user_db.url": server.set(database=database).render_as_string(hide_password=False),
            "servers.main": server.set(database="").render_as_string(hide_password=False),
            "tenancy.secret": SECRET,
            **settings,
        }
    )
    yield installation
    with installation.registry.user_db.begin() as session:
        tenants = [tenant.database for tenant in list_tenants(session)]
        mark = installation_mark(session)
    installation.close()
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        templates = f"SELECT datname FROM pg_database WHERE datname LIKE 'template\\_{mark[-12:]}%%'"
        old = connection.exec_driver_sql(templates).scalars().all()
        for name in [database, *tenants, *old]:
            if name in old:
                connection.exec_driver_sql(f'ALTER DATABASE "{name}" IS_TEMPLATE false')
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            connection.exec_driver_sql(f'DROP ROLE IF EXISTS "{name}"')
    engine.dispose()


class _OuterEngine:
    """Hands out the one connection of a test, and lets nobody close it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        yield self._connection


class RolledBackDatabase(DBFactory):
    """A database whose every session works inside one outer transaction that is rolled back.

    https://docs.sqlalchemy.org/en/21/orm/session_transaction.html#joining-a-session-into-an-external-transaction-such-as-for-test-suites
    """

    def __init__(self, real: DBFactory) -> None:
        self.real = real
        self.connection = real.engine.connect()
        self.outer = self.connection.begin()

    @property
    def engine(self) -> Any:
        return _OuterEngine(self.connection)

    def fetch(self, prepared: PreparedSelect, values: Mapping[str, Any]) -> Sequence[Any]:
        return self.connection.execute(prepared.statement, dict(values)).all()

    def get_session(self, *, read_only: bool = False) -> Session:
        session = Session(bind=self.connection, autoflush=False, join_transaction_mode="create_savepoint")
        if read_only:
            event.listen(session, "after_begin", self._read_only)
            event.listen(session, "after_transaction_end", self._writable)
        return session

    def _read_only(self, *_: object) -> None:
        """The database refuses writes from now on, as it does in the real one's read-only sessions."""
        of_sqlite = self.connection.dialect.name == "sqlite"
        # PostgreSQL: until the end of the savepoint.
        self.connection.exec_driver_sql("PRAGMA query_only = ON" if of_sqlite else "SET TRANSACTION READ ONLY")

    def _writable(self, session: Session, transaction: SessionTransaction) -> None:
        ended = transaction.parent is None and not self.connection.invalidated
        if ended and self.connection.dialect.name == "sqlite":
            self.connection.exec_driver_sql("PRAGMA query_only = OFF")

    def checkedout(self) -> int:
        return 0

    def dispose(self) -> None:
        self.outer.rollback()
        self.connection.close()


class RolledBackTenants(TenantDatabases):
    """The tenants' databases, likewise."""

    def _make(self, place: TenantPlace) -> DBFactory:
        return RolledBackDatabase(super()._make(place))

    def dispose(self) -> None:
        for entry in self._entries.values():
            entry.factory.dispose()
            entry.factory.real.dispose()  # type: ignore[attr-defined]


@contextmanager
def rolled_back(installation: Installation) -> Iterator[Installation]:
    """Let the application work inside transactions that are rolled back at the end."""
    registry = installation.registry
    user_db, tenant_dbs, reading = registry.user_db, registry.tenant_dbs, registry.access_reader.database
    registry.user_db = registry.access_reader.database = RolledBackDatabase(user_db)
    registry.tenant_dbs = RolledBackTenants(registry.servers, tenant_dbs.engines)
    try:
        yield installation
    finally:
        registry.tenant_dbs.dispose()
        registry.user_db.dispose()
        registry.user_db, registry.tenant_dbs, registry.access_reader.database = user_db, tenant_dbs, reading


def documented(app: Any) -> Documented:
    """The answers that the application's document has."""
    if not hasattr(app.registry, "documented"):
        app.registry.documented = Documented(app)
    found: Documented = app.registry.documented
    return found


class Client:
    """A browser page: keeps its cookie, sends the CSRF token. Each answer has to be one that the document has."""

    def __init__(self, app: Any) -> None:
        self.http = TestApp(app)
        self.csrf_token = ""
        self.api_token: str | None = None

    def request(self, method: str, path: str, json: Any = None, **headers: str) -> Any:
        """Send a request; any status is an answer. ``If_Match="..."`` becomes the header ``If-Match``."""
        sent = {"X-CSRF-Token": self.csrf_token} if self.csrf_token else {}
        if self.api_token is not None:
            sent["Authorization"] = f"Bearer {self.api_token}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        call = getattr(self.http, f"{method.lower()}_json" if json is not None else method.lower())
        arguments = {} if json is None else {"params": json}
        answer = call(f"/api/v1{path}", headers=sent, expect_errors=True, **arguments)
        documented(self.http.app).check(method, f"/api/v1{path}", answer)
        return answer

    def upload(self, name: str, content: bytes, media_type: str = "application/octet-stream", **headers: str) -> Any:
        """Upload a file."""
        sent = {"X-CSRF-Token": self.csrf_token, "Content-Type": media_type}
        if self.api_token is not None:
            sent["Authorization"] = f"Bearer {self.api_token}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        path = f"/api/v1/files?{urlencode({'name': name})}"
        answer = self.http.post(path, params=content, headers=sent, expect_errors=True)
        documented(self.http.app).check("POST", path, answer)
        return answer

    def get(self, path: str, **headers: str) -> Any:
        return self.request("GET", path, **headers)

    def post(self, path: str, json: Any = None, **headers: str) -> Any:
        return self.request("POST", path, json, **headers)

    def put(self, path: str, json: Any = None, **headers: str) -> Any:
        return self.request("PUT", path, json, **headers)

    def patch(self, path: str, json: Any = None, **headers: str) -> Any:
        return self.request("PATCH", path, json, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.request("DELETE", path, **headers)

    def sign_in(self, login: str, tenant: str | None = None) -> "Client":
        """Sign in, selecting a tenant if one is named."""
        answer = self.post("/session", {"login": login, "password": PASSWORD} | ({"tenant": tenant} if tenant else {}))
        assert answer.status_int == 201, answer.text
        self.csrf_token = answer.json["csrf_token"]
        return self

    def with_token(self, api_token: str) -> "Client":
        """Make every request with this API token."""
        self.api_token = api_token
        return self

    def copy(self) -> "Client":
        """Another page of the same browser."""
        other = Client(self.http.app)
        other.csrf_token = self.csrf_token
        for cookie in self.http.cookiejar:
            other.http.cookiejar.set_cookie(cookie)
        return other

    def switch(self, tenant: str) -> Any:
        """Select another tenant."""
        answer = self.patch("/session", {"tenant": tenant})
        if answer.status_int == 200:
            self.csrf_token = answer.json["csrf_token"]
        return answer


class StatementRecorder:
    """Counts the statements that reach these databases; the beginning of a transaction is not one."""

    CONTROL = ("BEGIN", "PRAGMA query_only", "SET TRANSACTION READ ONLY", "SAVEPOINT", "RELEASE", "ROLLBACK", "PREPARE")

    def __init__(self, *factories: DBFactory) -> None:
        self.statements: list[str] = []
        self._engines = [factory.engine for factory in factories]

    def __enter__(self) -> "StatementRecorder":
        for engine in self._engines:
            event.listen(engine, "before_cursor_execute", self._record)
        return self

    def __exit__(self, *exc: object) -> None:
        for engine in self._engines:
            event.remove(engine, "before_cursor_execute", self._record)

    def _record(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if not statement.startswith(self.CONTROL):
            self.statements.append(statement)

    def __len__(self) -> int:
        return len(self.statements)
