"""A tenant whose history has a construct, and what the fleet does with it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg2
from sqlalchemy.engine import URL

from tenantapp.databases.histories.histories import head_revision
from tenantapp.fleet.bundles.exporting import export_bundle
from tenantapp.fleet.bundles.importing import import_tenant
from tenantapp.fleet.removing.deletion import delete_later, request_purge
from tenantapp.operations.errors import FleetError
from tests.contract.conftest import Fleet, everything_on, remove_all_but
from tests.contract.copies import drop_subscriptions
from tests.contract.copies import work as done
from tests.contract.kept import WEEK, Kept, with_store
from tests.contract.rows import findings
from tests.installation import SECRET
from tests.postgres import programs_by_major
from tests.schemas.constructs import Construct
from tests.schemas.sqlite_state import is_sqlite, statements_of, write_rows
from tests.schemas.state import differences, read_state

REVISION: Final = """
from alembic import op

revision = "feedc0de0001"
down_revision = "{head}"


def upgrade():
    for statement in {statements!r}:
        op.get_bind().exec_driver_sql(statement)
"""


class Failed(FleetError):
    """An operation failed; the message is its own."""


class Schemas(Kept):
    """The tenant acme on the first server, with a construct and its rows. Each verb returns what is not the same."""

    def __init__(self, fleet: Fleet, construct: Construct, servers: dict[str, URL]) -> None:
        self.fleet, self.servers, self.construct = with_store(fleet), servers, construct
        fleet.migrated()
        copy = fleet.copy_of("tenant")
        first = next(iter(servers.values()))  # that of new tenants
        self.on_sqlite = is_sqlite(first)
        statements = statements_of(construct.schema) if self.on_sqlite else [construct.schema.replace("%", "%%")]
        text = REVISION.format(head=head_revision(fleet.settings, "tenant"), statements=statements)
        (copy / "versions" / "feedc0de0001_construct.py").write_text(text)
        tools = os.pathsep.join(map(str, programs_by_major().values()))
        fleet.change_settings(migrations_tenant=str(copy), backups_postgres_bin=tools)
        database = fleet.create("acme").database
        if self.on_sqlite:
            write_rows(first, database, construct.rows)
        else:
            host, user = first.query["host"], first.username
            with psycopg2.connect(host=host, user=user, dbname=database) as connection, connection.cursor() as cursor:
                cursor.execute(f'SET ROLE "{database}"')
                cursor.execute(construct.rows)
        self.read_original()

    def read_original(self, printer: str | None = None) -> None:
        """Read what others are compared with. Its definitions are written as the server ``printer`` writes them."""
        place = self.place()
        self.original = read_state(self.servers[place.server], place.database, self.servers[printer or place.server])

    def lost(self, slug: str = "acme") -> dict[str, Any]:
        """What a tenant does not have as the original had it, and what `fleet verify` says of it."""
        place = self.place(slug)
        server = self.servers[place.server]
        wrong = findings(self.fleet, place, self.fleet.settings)
        lacking = differences(self.original, read_state(server, place.database, server), server)
        return lacking | ({"findings": wrong} if wrong else {})

    def by_clone(self) -> dict[str, Any]:
        done(self.fleet, "clone", "acme", "cloned")
        return self.lost("cloned")

    def by_branch(self) -> dict[str, Any]:
        """By cloning files, where the server does that and a dump would leave nothing out."""
        done(self.fleet, "clone", "acme", "branch", expires_in=WEEK)
        return self.lost("branch")

    def by_backup(self, new: str = "restored", **options: Any) -> dict[str, Any]:
        self.succeeded(self.backup())
        self.succeeded(self.restore_as("acme", new, **options))
        return self.lost(new)

    def by_bundle(self) -> dict[str, Any]:
        file = self.fleet.directory / "acme.bundle"
        export_bundle(self.fleet.services, self.place(), file)
        import_tenant(self.fleet.services, file, "imported")
        return self.lost("imported")

    def by_restore(self) -> dict[str, Any]:
        self.succeeded(self.restore())
        return self.lost()

    def by_delete(self) -> dict[str, Any]:
        """The final copy of a clone; what is restored from it."""
        with self.fleet.user_db.begin() as session:
            tenant_id = delete_later(session, "cloned", timedelta(0)).id
        self.succeeded(self.ask(request_purge, "cloned"))
        self.succeeded(self.restore_as("cloned", "returned", tenant_id=tenant_id))
        return self.lost("returned")

    def by_move(self, server: str = "other") -> dict[str, Any]:
        why_not = done(self.fleet, "move", "acme", server)["not_replicated"]
        words = "only PostgreSQL replicates" if self.on_sqlite else self.construct.dumped
        wrong = {} if _is_as_said(why_not, words) else {"not replicated": why_not}
        return self.lost() | wrong

    def succeeded(self, operation_id: Any) -> None:
        """Let a worker work. Raises ``Failed`` if the operation fails."""
        self.work()
        operation = self.outcome(operation_id)
        if operation.state != "succeeded":
            raise Failed(operation.error)


def _is_as_said(why_not: str | None, words: str) -> bool:
    if why_not is None:
        return not words
    return bool(words) and re.search(words, why_not) is not None


def _setting(server: URL) -> str:
    url = server if is_sqlite(server) else server.set(database="")
    return url.render_as_string(hide_password=False)


@contextmanager
def schemas(servers: dict[str, URL], directory: Path, construct: Construct) -> Iterator[Schemas]:
    """A fleet on these servers. What it leaves on PostgreSQL is removed."""
    values = {f"servers.{name}": _setting(url) for name, url in servers.items()}
    if construct.extensions:
        values |= {f"servers.{name}.extensions": construct.extensions for name in servers}
    values |= {"user_db.url": f"sqlite+pysqlite:///{directory}/user.sqlite", "tenancy.secret": SECRET}
    before = {url: everything_on(url) for url in servers.values() if not is_sqlite(url)}
    fleet = Fleet(values, next(iter(before), None), directory)
    for url in [url for url, there in before.items() if ("role", "reporting") not in there]:
        fleet.ask("CREATE ROLE reporting", url)  # some constructs grant it something
    try:
        yield Schemas(fleet, construct, servers)
    finally:
        fleet.close()
        for url in before:
            drop_subscriptions(fleet, url)
            remove_all_but(before[url], url)
