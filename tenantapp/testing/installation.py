"""A whole tenantapp for tests: databases, application, tenants, people."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import create_engine
from sqlalchemy.engine import URL

from tenantapp import main
from tenantapp.credentials import passwords
from tenantapp.credentials.passwords import hash_password
from tenantapp.databases.servers.templates import installation_mark
from tenantapp.fleet.creating.create import create_tenant
from tenantapp.identity import grants, users
from tenantapp.identity.declared_rights import apply_declared
from tenantapp.identity.errors import AlreadyExists
from tenantapp.identity.local_access import local_access
from tenantapp.identity.tenants import get_tenant, list_tenants
from tenantapp.mail.delivering import delivery_of
from tenantapp.operations.fleet import opened_fleet
from tenantapp.settings import read_settings
from tenantapp.tenancy.access import Access, TenantPlace
from tenantapp.testing.golden import lend_templates, make_user_database
from tenantapp.testing.mails import Mails

PASSWORD: Final = "correct horse battery"
MEMORY: Final = 8  # KiB; signing in is not what most tests are about
PASSWORD_HASH: Final = hash_password(PASSWORD, MEMORY)
SECRET: Final = "a secret for the tests, long enough for all of it"
# How long a test waits for a database is a matter of what else the machine does. Tests of slowness set these.
PATIENT: Final = {
    "connections.slow": "30",
    "connections.deadline": "60",
    "passwords.memory": str(MEMORY),
    "web.directory": "none",
    # A thread would write to the databases of tests. Those about usage set it.
    "usage.keep": "0",
    # Of each process. The storage is a directory where a test is about that.
    "files.storage": "memory://files",
    # No server: an installation keeps what would be sent.
    "mail.url": "smtp://mail.invalid",
    "mail.from": "Tests <tests@example.com>",
}

Made = TypeVar("Made", bound="Installation")


TEST_THREADS = 256


class Installation:
    """Settings, application and databases of one tenantapp, with tenants of these slugs.

    ``app`` is the WSGI application, ``registry`` its registry, ``settings`` what an ini file would have, ``mails`` the
    mail that was sent. The first tenant is the one that tests are in unless they say otherwise.
    """

    def __init__(self, settings: Mapping[str, str], tenants: Sequence[str]) -> None:
        self.settings = {**PATIENT, **settings}
        self.tenants = tuple(tenants)
        with opened_fleet(read_settings(self.settings, {})) as fleet:
            make_user_database(fleet)
        self.app = main({}, **self.settings)
        # Tests sign in from as many threads as they like, which no server has.
        passwords.bound_waiting(TEST_THREADS)
        self.registry = self.app.registry
        self.registry.mail_transport = self.mails = Mails()
        with ExitStack() as until:
            lend_templates(self.registry.fleet, [self.registry.servers.default], until)
            for slug in tenants:
                self.create_tenant(slug)
        with self.registry.user_db.begin() as session:
            apply_declared(session, self.registry.declared_rights)

    def create_tenant(self, slug: str) -> TenantPlace:
        """Make a tenant with its database. It is committed, also in a test that is rolled back."""
        return create_tenant(self.registry.fleet, slug, name=slug.title())

    def person(self, role: str | None, tenant: str | None = None, *, login: str | None = None) -> str:
        """Make a person with this role in a tenant, if there is none, and return their login.

        The tenant is the first one by default. The login is the role, followed by the tenant if it is not the first;
        other logins make other people with the same role. Without a role, the person has no grant.
        Raises ``NotFound`` if there is no such role or tenant.
        """
        tenant = tenant or self.tenants[0]
        login = login or (role or "nobody") + ("" if tenant == self.tenants[0] else f"-{tenant}")
        with suppress(AlreadyExists), self.registry.user_db.begin() as session:
            users.create_user(session, login, name=login.title(), password_hash=PASSWORD_HASH)
        if role is not None:
            with suppress(AlreadyExists), self.registry.user_db.begin() as session:
                grants.add_grant(session, get_tenant(session, tenant).id, role, login=login)
        return login

    def access(self, role: str, tenant: str | None = None, *, login: str | None = None) -> Access:
        """Return the access of a person with this role in a tenant, for services that are called without HTTP.

        The arguments are those of ``person``.
        """
        return self.local_access(tenant, login=self.person(role, tenant, login=login))

    def local_access(self, tenant: str | None = None, *, login: str | None = None) -> Access:
        """Return the access of a script to a tenant, by default the first: for a person, or with every permission."""
        with self.registry.user_db.begin(read_only=True) as session:
            return local_access(session, tenant or self.tenants[0], login=login)

    def deliver_mails(self) -> Mails:
        """Send the account mail that is due, as a worker does within a second, and return ``mails``."""
        registry = self.registry
        delivery = delivery_of(registry.app_settings, registry.user_db, lambda: self.mails, registry.fleet.tracer)
        if delivery is not None:
            delivery.deliver()
        return self.mails

    @property
    def factories(self) -> list[Any]:
        """Return everything that has a pool."""
        return [self.registry.user_db, self.registry.access_reader.database, self.registry.tenant_dbs]

    def checkedout(self) -> int:
        """Return how many connections are in use, in all pools."""
        return sum(factory.checkedout() for factory in self.factories)

    def close(self) -> None:
        """Close all connections."""
        for factory in self.factories:
            factory.dispose()


@contextmanager
def on_sqlite(make: Callable[[dict[str, str]], Made], directory: Path, settings: Mapping[str, str]) -> Iterator[Made]:
    """Make an installation on SQLite files in this directory."""
    installation = make(
        {
            "user_db.url": f"sqlite+pysqlite:///{directory}/user.sqlite",
            "servers.main": f"sqlite+pysqlite:///{directory}/tenants/",
            **settings,
        }
    )
    yield installation
    installation.close()


@contextmanager
def on_postgres(make: Callable[[dict[str, str]], Made], server: URL, settings: Mapping[str, str]) -> Iterator[Made]:
    """Make an installation on databases of this PostgreSQL server. They are removed at the end."""
    database = f"users_{secrets.token_hex(4)}"
    installation = make(
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
    _remove(server, [database, *tenants], mark)


def _remove(server: URL, databases: Sequence[str], mark: str) -> None:
    """Remove these databases with their roles, and the templates of the installation with this mark."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        templates = f"SELECT datname FROM pg_database WHERE datname LIKE 'template\\_{mark[-12:]}%%'"
        old = connection.exec_driver_sql(templates).scalars().all()
        for name in [*databases, *old]:
            if name in old:
                connection.exec_driver_sql(f'ALTER DATABASE "{name}" IS_TEMPLATE false')
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            connection.exec_driver_sql(f'DROP ROLE IF EXISTS "{name}"')
    engine.dispose()
