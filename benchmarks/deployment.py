"""tenantapp with many tenants, made for measuring: the first one by its own services, the others as copies of it."""

import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import URL, create_engine, insert
from tenantapp import main
from tenantapp.credentials.passwords import hash_password
from tenantapp.databases.histories.upgrading import upgrade_user_database
from tenantapp.fleet.creating.create import create_tenant
from tenantapp.identity import grants, users, web_sessions
from tenantapp.identity.models import Tenant, TenantState, User
from tenantapp.identity.tenants import place_of
from tenantapp.settings import read_settings
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import Person, TenantPlace
from tenantapp.tenancy.servers import Servers, SqliteServer
from tenantapp.workspace.models import Author, Node

from benchmarks.bare import Database
from benchmarks.copies import copies_on
from benchmarks.nodes import nodes_of
from benchmarks.postgres import Postgres
from benchmarks.processes import Running, free_port, serving

EngineName = Literal["postgresql", "sqlite"]
ENGINES: Final[tuple[EngineName, ...]] = ("postgresql", "sqlite")
INI: Final = Path(__file__).with_name("contenders") / "tenantapp" / "tenantapp.ini"
PASSWORD: Final = "correct horse battery"
DAY: Final = 86400
TEMPLATE: Final = "template"


@dataclass
class Deployment:
    """The settings of a tenantapp, and a signed-in person of each of its tenants."""

    engine: EngineName
    settings: dict[str, str]
    tokens: dict[str, str] = field(default_factory=dict)
    """The web session's token of a tenant's editor, by the tenant's slug."""
    stranger: str = ""
    """That of a person who is granted nothing, with the first tenant selected."""
    places: dict[str, TenantPlace] = field(default_factory=dict)

    def serve(self, *, request_log: bool = False) -> list[str]:
        """The command that serves it; ``{port}`` is to be filled in."""
        pserve = str(Path(sys.executable).with_name("pserve"))
        return [pserve, str(INI), "http_port={port}", f"request_log={'INFO' if request_log else 'WARN'}"]

    @property
    def environment(self) -> dict[str, str]:
        """The settings as the environment variables they are read from."""
        return {f"TENANTAPP_{name.replace('.', '_').upper()}": value for name, value in self.settings.items()}

    def headers(self, slug: str) -> dict[str, str]:
        """The signed-in editor of a tenant."""
        return {"Cookie": f"tenantapp={self.tokens[slug]}"}

    def databases(self) -> list[Database]:
        """How the tenants' databases are reached without tenantapp."""
        settings = read_settings(self.settings, {})
        server = Servers.of(settings)["main"]
        if isinstance(server, SqliteServer):
            return [{"path": str(server.path(place.database))} for place in self.places.values()]
        urls = [server.tenant_url(place.database) for place in self.places.values()]
        return [
            {"host": url.query["host"], "dbname": url.database, "user": url.username, "password": url.password}
            for url in urls
        ]

    @contextmanager
    def serving(
        self, directory: Path, settings: Mapping[str, str] | None = None, name: str = "tenantapp"
    ) -> Iterator[Running]:
        """Serve it, with these settings besides its own. PostgreSQL knows its connections by the name."""
        deployed = replace(self, settings=self.settings | dict(settings or {}))
        port = free_port()
        command = [part.replace("{port}", str(port)) for part in deployed.serve()]
        log = directory / f"{self.engine}-{name}.log"
        environment = deployed.environment | {"PGAPPNAME": name}
        with serving(command, port, log=log, cwd=directory, environment=environment) as running:
            yield running


def settings_on(engine: EngineName, directory: Path, postgres: Postgres) -> dict[str, str]:
    """Settings for new databases on this engine. Web sessions last longer than any measurement."""
    lifetimes = {"session.idle_timeout": str(DAY), "session.absolute_timeout": str(DAY)}
    if engine == "sqlite":
        return lifetimes | {
            "user_db.url": f"sqlite+pysqlite:///{directory}/user.sqlite",
            "servers.main": f"sqlite+pysqlite:///{directory}/tenants/",
        }
    return lifetimes | {
        "user_db.url": text_of(postgres.url.set(database=f"users_{secrets.token_hex(4)}")),
        "servers.main": text_of(postgres.url.set(database="")),
        "tenancy.secret": "for the benchmarks only, and long enough for all of it",
    }


def deploy(engine: EngineName, directory: Path, postgres: Postgres, slugs: Sequence[str]) -> Deployment:
    """Make the databases, people and web sessions of these tenants, each with the nodes of ``benchmarks.nodes``."""
    deployment = Deployment(engine, settings_on(engine, directory, postgres))
    upgrade_user_database(read_settings(deployment.settings, {}))
    registry = main({}, **deployment.settings).registry
    try:
        template = create_tenant(registry.fleet, TEMPLATE)
        _fill(registry.servers[template.server].tenant_url(template.database))
        deployment.places = _register(registry, slugs)
        places = list(deployment.places.values())
        copies_on(registry.servers[template.server], postgres).make(template, places)
        _let_in(registry, deployment, deployment.places)
        first = next(iter(deployment.places.values()))
        with registry.user_db.begin() as session:
            user = users.create_user(session, "stranger", password_hash=hash_password(PASSWORD))
            deployment.stranger = _sign_in(registry, session, user, first)
    finally:
        registry.user_db.dispose()
    return deployment


def tenants_beside(deployment: Deployment, server: str, slugs: Sequence[str]) -> None:
    """Make empty tenants on another server of the settings, each with an editor who is signed in."""
    registry = main({}, **deployment.settings).registry
    try:
        places = {slug: place_of(create_tenant(registry.fleet, slug, server=server)) for slug in slugs}
        _let_in(registry, deployment, places)
    finally:
        registry.user_db.dispose()
    deployment.places |= places


def text_of(url: URL) -> str:
    """A URL with its password."""
    return url.render_as_string(hide_password=False)


def _fill(url: URL) -> None:
    """The template's nodes, all of one author."""
    author = uuid7()
    rows = [node | {"id": UUID(node["id"]), "owner_id": author, **_times(node)} for node in nodes_of(TEMPLATE)]
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(Author), [{"id": author, "name": "An Author"}])
        connection.execute(insert(Node), rows)
    engine.dispose()


def _times(node: dict[str, Any]) -> dict[str, Any]:
    return {name: datetime.fromisoformat(node[name]) for name in ("created_at", "updated_at")}


def _register(registry: Any, slugs: Sequence[str]) -> dict[str, TenantPlace]:
    """The tenants' rows, in the template's revision and already active."""
    with registry.user_db.begin() as session:
        template = session.query(Tenant).filter_by(slug=TEMPLATE).one()
        rows = [_row(slug, template) for slug in slugs]
        session.execute(insert(Tenant), rows)
    return {
        row["slug"]: TenantPlace(*(row[name] for name in ("id", "slug", "name", "server", "database"))) for row in rows
    }


def _row(slug: str, template: Tenant) -> dict[str, Any]:
    tenant_id = uuid7()
    return {
        "id": tenant_id,
        "slug": slug,
        "name": slug.title(),
        "server": template.server,
        "database": f"tenant_{tenant_id.hex}",
        "state": TenantState.ACTIVE,
        "revision": template.revision,
    }


def _let_in(registry: Any, deployment: Deployment, places: Mapping[str, TenantPlace]) -> None:
    """A person and a web session for each tenant."""
    password_hash = hash_password(PASSWORD)
    with registry.user_db.begin() as session:
        for slug, place in places.items():
            user = users.create_user(session, f"editor@{slug}", password_hash=password_hash)
            grants.add_grant(session, place.id, "editor", login=user.login)
            deployment.tokens[slug] = _sign_in(registry, session, user, place)


def _sign_in(registry: Any, session: Any, user: User, place: TenantPlace) -> str:
    token = web_sessions.new_token()
    person = Person(user.id, user.login, user.name)
    web_sessions.start(session, token, person, place, registry.lifetimes, None, ["password"])
    return token
