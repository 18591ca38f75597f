"""A fleet on two servers of each engine, and what tests of copies ask of it. ``main`` hangs in one.

What the program is told is the settings, a request, and the point where it hangs, see ``hanging``.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.contents.contents import Contents, read_contents
from tenantapp.fleet.copying import requests
from tenantapp.fleet.creating.create import create_tenant
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity.tenants import get_tenant, place_of
from tenantapp.operations.foreground import run_now
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import get_operation
from tenantapp.tenancy.access import TenantPlace
from tests.contract.conftest import Fleet, everything_on, remove_all_but
from tests.contract.forks import Hanging
from tests.contract.hanging import hang_at
from tests.installation import SECRET
from tests.postgres import postgres_bin

ROOT = Path(__file__).parents[2]
PAIRS = [("files", "shelf"), ("server", "other"), ("files", "server"), ("server", "files")]
IDS = ["-".join(pair) for pair in PAIRS]


@contextmanager
def four_servers(
    server: URL, other: URL, directory: Path, *, tools: bool = True, user_db: str | None = None
) -> Iterator[Fleet]:
    """``files`` and ``shelf`` are directories, ``server`` and ``other`` PostgreSQL servers; other's WAL is logical.

    ``twin`` is other by another name.
    """
    values = {
        "user_db.url": user_db or f"sqlite+pysqlite:///{directory}/user.sqlite",
        "servers.files": f"sqlite+pysqlite:///{directory}/files/",
        "servers.shelf": f"sqlite+pysqlite:///{directory}/shelf/",
        "servers.server": server.set(database="").render_as_string(hide_password=False),
        "servers.other": other.set(database="").render_as_string(hide_password=False),
        "servers.twin": other.set(database="").render_as_string(hide_password=False),
        "tenancy.secret": SECRET,
    }
    # Where there is nothing, a tool is missing.
    values["backups.postgres_bin"] = (postgres_bin("pginstall18") if tools else str(directory)) or "/usr/bin"
    fleet = Fleet(values, server, directory)
    before = {url: everything_on(url) for url in (server, other)}
    fleet.initialised()
    yield fleet
    fleet.close()
    for url in (server, other):
        drop_subscriptions(fleet, url)
        remove_all_but(before[url], url)


def drop_subscriptions(fleet: Fleet, server: URL) -> None:
    """What a test that failed may have left."""
    subscriptions = "SELECT subname, datname FROM pg_subscription JOIN pg_database d ON d.oid = subdbid"
    for name, database in fleet.ask(subscriptions, server):
        fleet.ask(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true', server)
        url = server.set(database=database)
        fleet.ask(f'ALTER SUBSCRIPTION "{name}" DISABLE', url)
        fleet.ask(f'ALTER SUBSCRIPTION "{name}" SET (slot_name = NONE)', url)
        fleet.ask(f'DROP SUBSCRIPTION "{name}"', url)


def made(fleet: Fleet) -> set[tuple[str, str]]:
    """The databases, roles and files on all servers, the templates and files beside files apart."""
    found = {(path.parent.name, path.name) for path in fleet.directory.glob("*/*.sqlite*")}
    for name in ("server", "other"):
        found |= {
            (f"{name} {kind}", thing) for kind, thing in everything_on(fleet.servers[name].url.set(database="postgres"))
        }
    return {
        (kind, name) for kind, name in found if not name.startswith("template_") and not name.endswith(("-wal", "-shm"))
    }


def create_on(fleet: Fleet, server: str, slug: str) -> TenantPlace:
    """Make a tenant on this server."""
    return create_tenant(fleet.services, slug, server=server)


def place(fleet: Fleet, slug: str) -> TenantPlace:
    """Where a tenant is now."""
    with fleet.user_db.begin(read_only=True) as session:
        return place_of(get_tenant(session, slug))


def state(fleet: Fleet, slug: str) -> str:
    """The state of a tenant."""
    with fleet.user_db.begin(read_only=True) as session:
        return get_tenant(session, slug).state


def work(fleet: Fleet, kind: str, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Do what is requested; returns the operation's result."""

    def request(session: Session, operation_id: UUID | None) -> Operation:
        wanted = getattr(requests, f"request_{kind}")
        given = {"requested_by": "local:tests", "operation_id": operation_id, **options}
        operation: Operation = wanted(session, fleet.services, *arguments, **given)
        return operation

    operation_id = run_now(fleet.services, KINDS, request)
    with fleet.user_db.begin(read_only=True) as session:
        return get_operation(session, operation_id).result


def contents(fleet: Fleet, where: TenantPlace) -> Contents:
    """All that a tenant's database holds but whose it is."""
    url = fleet.servers[where.server].own_url(where.database)
    with reading_connection(url, "it") as connection, connection.begin():
        return read_contents(connection, "it").without(frozenset({"tenant_identity"}))


@contextmanager
def hanging(fleet: Fleet, kind: str, *arguments: Any, point: str, **options: Any) -> Iterator[None]:
    """A process that does what is requested, up to the point, and is killed at the end of the block.

    The options are JSON: with ``for_days`` a clone is a branch.
    """
    given = [json.dumps(given) for given in (arguments, options)]
    process = Hanging(__name__, json.dumps(fleet.values), str(fleet.directory), kind, *given, point)
    try:
        yield
    finally:
        process.kill()


def main(values: str, directory: str, kind: str, arguments: str, options: str, point: str) -> None:
    """Do what is requested, up to the point."""
    fleet = Fleet(json.loads(values), None, Path(directory))
    hang_at(point)
    given = json.loads(options)
    branch = {"expires_in": timedelta(days=given.pop("for_days"))} if "for_days" in given else {}
    work(fleet, kind, *json.loads(arguments), **given, **branch)
