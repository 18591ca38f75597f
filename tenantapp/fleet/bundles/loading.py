"""Load a bundle into a database that was made for it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg2
from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.histories.histories import metadata_of
from tenantapp.databases.histories.targets import Target
from tenantapp.databases.histories.upgrading import upgrade_to
from tenantapp.fleet.bundles import postgres_loading, sqlite_loading
from tenantapp.fleet.bundles.archive import Bundle, open_bundle
from tenantapp.fleet.bundles.kinds import Kind
from tenantapp.fleet.bundles.limits import Limits
from tenantapp.fleet.bundles.manifest import Manifest
from tenantapp.fleet.bundles.tables import PortableTable, not_carried, portable_tables
from tenantapp.fleet.errors import BundleRefused, LoadFailed
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.outcomes import first_line
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.models import TenantIdentity

Progress = Callable[[int], None]
ENGINES: Final = {"sqlite": sqlite_loading, "postgresql": postgres_loading}


@checkpoint("bundle.make_tables")
def make_tables(target: Target, revision: str) -> None:
    """Make the tables of a bundle's revision in an empty database. Raises what ``upgrade_to`` raises."""
    upgrade_to(target, revision)


@checkpoint("bundle.load")
def load_bundle(
    fleet: Fleet,
    place: TenantPlace,
    file: Path,
    progress: Progress = lambda rows: None,
    *,
    ours: bool = False,
) -> Manifest:
    """Load a bundle in one transaction into a database at the bundle's revision that has no identity yet.

    Rows that the migrations have inserted are deleted first, because the bundle has its own. Checksums are compared,
    and at the end the rows in the database are counted. ``ours`` says that this process has just written the bundle, so
    its content may be of any size. Raises ``BundleRefused``, ``LoadFailed``, ``OSError`` and what
    ``migration_connection`` raises. After an error the database is as it was.
    """
    limits = Limits.of(fleet.settings)
    url, name = fleet.servers[place.server].tenant_url(place.database), f"the database of {place.slug}"
    with (
        open_bundle(file, replace(limits, expansion=None) if ours else limits) as bundle,
        migration_connection(url, name, failure=LoadFailed) as connection,
        connection.begin(),
    ):
        tables = portable_tables(connection, metadata_of(fleet.settings, "tenant"))
        _check_target(connection, tables, bundle.manifest, file, name)
        engine = ENGINES[connection.dialect.name]
        try:
            with engine.constraints_later(connection, name):
                _replace_rows(connection, tables, bundle, progress)
            engine.finish(connection, tables, bundle.manifest)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise LoadFailed(name, f"a value does not fit its column ({error})") from error
        except psycopg2.Error as error:
            raise LoadFailed(name, first_line(error)) from error
        _check_rows(connection, tables, bundle.manifest, name)
        return bundle.manifest


def _check_target(
    connection: Connection, tables: Sequence[PortableTable], manifest: Manifest, file: Path, name: str
) -> None:
    if connection.scalar(select(func.count()).select_from(TenantIdentity)):
        raise LoadFailed(name, "it belongs to a tenant already")
    if (found := not_carried(connection)) is not None:
        raise LoadFailed(name, ": ".join(found))
    heads = MigrationContext.configure(connection).get_current_heads()
    if heads != (manifest.revision,):
        raise LoadFailed(name, f"it is not at the bundle's revision {manifest.revision}")
    target = {table.name: {column for column, _ in table.columns} for table in tables}
    bundled = {table.name: {column.name for column in table.columns} for table in manifest.tables}
    for wrong in sorted(target.keys() | bundled.keys()):
        if target.get(wrong) != bundled.get(wrong):
            raise BundleRefused(file, f"its table {wrong} is not that of revision {manifest.revision}")
    types = {(table.name, column): type_ for table in tables for column, type_ in table.others.items()}
    for table in manifest.tables:
        for column in table.columns:
            if column.type == Kind.OTHER and types.get((table.name, column.name)) != column.of:
                what = f"its column {table.name}.{column.name} has the type {column.of} of PostgreSQL"
                raise BundleRefused(file, f"{what}, and that of {name} has another")


@checkpoint("bundle.replace_rows")
def _replace_rows(connection: Connection, tables: Sequence[PortableTable], bundle: Bundle, progress: Progress) -> None:
    engine = ENGINES[connection.dialect.name]
    engine.empty(connection, tables)
    by_name = {table.name: table for table in tables}
    for bundled in bundle.manifest.tables:
        engine.load_rows(connection, by_name[bundled.name], bundled, bundle.rows(bundled), progress)


def _check_rows(connection: Connection, tables: Sequence[PortableTable], manifest: Manifest, name: str) -> None:
    bundled = {table.name: table.rows for table in manifest.tables}
    for table in tables:
        counted = f"SELECT count(*) FROM {table.source(connection)}"  # noqa: S608 - one of ours
        if connection.exec_driver_sql(counted).scalar() != bundled[table.name]:
            raise LoadFailed(name, f"the table {table.name} does not have the bundle's {bundled[table.name]} rows")
