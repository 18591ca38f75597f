"""Two bookshops with their people, on SQLite files.

Or on whatever server the environment names: TENANTAPP_USER_DB_URL, TENANTAPP_SERVERS_MAIN and TENANTAPP_TENANCY_SECRET.
There the shops and the people stay, and the next run finds them; after a new revision run ``tenantapp migrate`` first.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from tenantapp import main
from tenantapp.databases.histories.upgrading import upgrade_user_database
from tenantapp.fleet.creating.create import create_tenant
from tenantapp.identity import grants, users
from tenantapp.identity.declared_rights import apply_declared
from tenantapp.identity.passwords import hash_password
from tenantapp.identity.tenants import list_tenants
from tenantapp.settings import read_settings
from tenantapp.testing import Cast, Documented
from webtest import TestApp

PASSWORD = "correct horse battery"
# login, role, shop
PEOPLE = (
    ("ann", "author", "north"),
    ("ben", "author", "north"),
    ("ed", "editor", "north"),
    ("rita", "reader", "north"),
    ("sam", "author", "south"),
)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The registry of an application with two shops and their people."""
    directory = tmp_path_factory.mktemp("bookshop")
    values = {
        "tenantapp.domain": "bookshop",
        "migrations.tenant": "bookshop:migrations",
        "user_db.url": f"sqlite+pysqlite:///{directory}/user.sqlite",
        "servers.main": f"sqlite+pysqlite:///{directory}/tenants/",
    }
    settings = read_settings(values)
    upgrade_user_database(settings)
    app = main({}, **values)
    registry = app.registry
    registry.app, registry.documented = app, Documented(app)
    add_missing(registry)
    yield registry
    assert registry.user_db.checkedout() == registry.tenant_dbs.checkedout() == 0
    for databases in (registry.user_db, registry.access_reader.database, registry.tenant_dbs):
        databases.dispose()


def add_missing(registry: Any) -> None:
    """Make the shops and the people that are not there yet."""
    with registry.user_db.begin(read_only=True) as session:
        shops = {tenant.slug: tenant.id for tenant in list_tenants(session)}
        known = {user.login for user in users.list_users(session)}
    for slug in {"north", "south"} - shops.keys():
        shops[slug] = create_tenant(registry.fleet, slug).id
    password_hash = hash_password(PASSWORD)
    with registry.user_db.begin() as session:
        apply_declared(session, registry.declared_rights)
        for login, role, shop in PEOPLE:
            if login not in known:
                users.create_user(session, login, password_hash=password_hash)
                grants.add_grant(session, shops[shop], role, login=login)


class Client:
    """A browser page: keeps its cookie, sends the CSRF token. Each answer has to be one that the document has."""

    def __init__(self, app: Any, login: str | None = None) -> None:
        self.http = TestApp(app)
        self.csrf_token = ""
        if login is not None:
            session = self.send("POST", "/session", {"login": login, "password": PASSWORD}, status=201)
            self.csrf_token = session.json["csrf_token"]

    def send(self, method: str, path: str, json: Any = None, *, status: int) -> Any:
        """Send a request and expect this status."""
        answer = self.request(method, path, json)
        assert answer.status_int == status, answer.text
        return answer

    def request(self, method: str, path: str, json: Any = None, headers: Any = None) -> Any:
        """Send a request. Any status that the document has is an answer."""
        body = {} if json is None else {"params": json}
        call = getattr(self.http, method.lower() + ("" if json is None else "_json"))
        sent = {"X-CSRF-Token": self.csrf_token, **(headers or {})}
        answer = call(f"/api/v1{path}", headers=sent, expect_errors=True, **body)
        self.http.app.registry.documented.check(method, f"/api/v1{path}", answer)
        return answer


@pytest.fixture
def client(registry: Any) -> Any:
    """Makes clients: ``client("ann")`` is signed in, ``client()`` is not."""
    return lambda login=None: Client(registry.app, login)


@pytest.fixture
def cast(client: Any) -> Cast:
    """Who takes part in the checks of a declared resource."""
    return Cast(
        writer=client("ann").request,
        colleague=client("ben").request,
        reader=client("rita").request,
        elsewhere=client("sam").request,
        nobody=client().request,
        body=lambda number: {"title": f"Emma, volume {number}", "price_cents": number, "stock": 3},
    )
