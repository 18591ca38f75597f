"""Write a tenant's data to a bundle."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from sqlalchemy import MetaData, select
from sqlalchemy.engine import Connection

from tenantapp.databases.connections.extensions import check_rows_carried, given_extensions
from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.histories.histories import heads_of, metadata_of
from tenantapp.fleet.bundles.archive import BundleWriter, new_bundle, open_bundle
from tenantapp.fleet.bundles.kinds import Kind
from tenantapp.fleet.bundles.limits import USUAL, Limits
from tenantapp.fleet.bundles.manifest import (
    FORMAT,
    VERSION,
    WITHOUT_EXTENSIONS,
    WITHOUT_FILES,
    WITHOUT_SEQUENCES,
    BundledColumn,
    BundledFile,
    BundledTable,
    BundledTenant,
    Manifest,
)
from tenantapp.fleet.bundles.postgres_sequences import read_sequences
from tenantapp.fleet.bundles.postgres_views import filled_views
from tenantapp.fleet.bundles.tables import PortableTable, counters, not_carried, portable_tables, quoted
from tenantapp.fleet.bundles.values import FROM_POSTGRES, FROM_SQLITE, FROM_TEXT, convert, exactly
from tenantapp.fleet.errors import NotPortable
from tenantapp.fleet.tenant_files import Source, begun, carrying, from_tenant, listed_in
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import WrongTenantDatabase
from tenantapp.tenancy.models import TenantIdentity

BATCH: Final = 100  # rows in memory at once

Progress = Callable[[int], None]


@checkpoint("bundle.export")
def export_bundle(fleet: Fleet, place: TenantPlace, file: Path, progress: Progress = lambda rows: None) -> Manifest:
    """Write a tenant's data as it is at one moment to a new file. ``progress`` gets the number of rows of each batch.

    The tenant can be used meanwhile, but not migrated. Raises ``NotPortable``, ``WrongTenantDatabase``,
    ``BundleNotWritten`` and what ``reading_connection`` raises. After an error there is no file.
    """
    url, name = fleet.servers[place.server].tenant_url(place.database), f"the database of {place.slug}"
    with reading_connection(url, name) as connection, connection.begin():
        if connection.scalars(select(TenantIdentity.tenant_id)).all() != [place.id]:
            raise WrongTenantDatabase(place.slug)
        heads = heads_of(connection)
        if len(heads) != 1:
            raise NotPortable(name, "it is not at exactly one revision")
        content = from_tenant(fleet.settings, place.id)
        return write_bundle(fleet.settings, connection, heads[0], place, file, progress, content)


@checkpoint("bundle.write")
def write_bundle(
    settings: Settings,
    connection: Connection,
    revision: str,
    place: TenantPlace,
    file: Path,
    progress: Progress = lambda rows: None,
    content: Source | None = None,
) -> Manifest:
    """Write the rows that a transaction sees to a new file, as those of this revision and tenant.

    ``content`` is the source of the tenant's files; without it, the bundle has only their rows. The identity in the
    database is not checked. Raises ``BundleNotWritten``, and ``NotPortable``, also if the database holds something that
    a bundle does not carry.
    """
    if (found := not_carried(connection)) is not None:
        raise NotPortable(*found)
    check_rows_carried(connection, f"the database of {place.slug}")
    with new_bundle(file, Limits.of(settings)) as writer:
        return _write(connection, writer, metadata_of(settings, "tenant"), settings, revision, place, progress, content)


def check_bundle(file: Path, limits: Limits = USUAL, progress: Progress = lambda rows: None) -> Manifest:
    """Check a whole bundle: the seal, the sizes, the manifest, and the number and checksum of each table's rows.

    Raises ``BundleRefused`` and ``OSError``.
    """
    with open_bundle(file, limits) as bundle:
        for table in bundle.manifest.tables:
            for _ in bundle.lines(table):
                pass
            progress(table.rows)
        for stored in bundle.manifest.files:
            for _ in bundle.content(stored.id):
                pass
        return bundle.manifest


def _write(
    connection: Connection,
    writer: BundleWriter,
    metadata: MetaData,
    settings: Settings,
    revision: str,
    place: TenantPlace,
    progress: Progress,
    content: Source | None,
) -> Manifest:
    tables = [_write_table(connection, writer, table, progress) for table in portable_tables(connection, metadata)]
    files = () if content is None else tuple(_write_files(connection, writer, place, content))
    postgres = connection.dialect.name == "postgresql"
    sequences = read_sequences(connection) if postgres else ()
    views = filled_views(connection) if postgres else ()
    extensions = tuple(given_extensions(connection))
    manifest = Manifest(
        format=FORMAT,
        version=VERSION
        if extensions
        else WITHOUT_EXTENSIONS
        if sequences or views or any(each.of for table in tables for each in table.columns)
        else WITHOUT_SEQUENCES
        if files
        else WITHOUT_FILES,
        created_at=utcnow(),
        tenantapp=version("tenantapp"),
        domain=settings.tenantapp_domain,
        revision=revision,
        engine=connection.dialect.name,
        tenant=BundledTenant(slug=place.slug, name=place.name),
        tables=tuple(tables),
        files=files,
        sequences=sequences,
        materialized_views=views,
        extensions=extensions,
    )
    writer.write_manifest(manifest)
    return manifest


def _write_files(
    connection: Connection, writer: BundleWriter, place: TenantPlace, content: Source
) -> Iterator[BundledFile]:
    """Write the content of files, and yield what the manifest says. A file without content has only its row."""
    for file in listed_in(connection):
        with carrying(place.slug), suppress(FileNotFoundError):
            yield writer.write_file(file.id, begun(content(file.id)))


def _write_table(
    connection: Connection, writer: BundleWriter, table: PortableTable, progress: Progress
) -> BundledTable:
    columns = table.kinds()
    file, rows, sha256 = writer.write_rows(table.name, rows_of(connection, table, columns, progress))
    return BundledTable(
        name=table.name,
        file=file,
        columns=tuple(BundledColumn(name=name, type=kind, of=table.others.get(name)) for name, kind in columns),
        rows=rows,
        sha256=sha256,
        counters=counters(connection, table),
    )


def rows_of(
    connection: Connection,
    table: PortableTable,
    columns: list[tuple[str, Kind]],
    progress: Progress = lambda rows: None,
) -> Iterator[list[Any]]:
    """Yield the rows of a table with these columns, in the form of a bundle. Raises ``NotPortable``."""
    known = FROM_SQLITE if connection.dialect.name == "sqlite" else FROM_POSTGRES
    converters = [exactly if name in table.unscaled else known[kind] for name, kind in columns]
    streaming = {"stream_results": True, "max_row_buffer": BATCH}
    with connection.exec_driver_sql(_select(connection, table, columns), execution_options=streaming) as result:
        for batch in result.partitions(BATCH):
            for row in batch:
                try:
                    # A table may have no columns that are carried. Its rows count all the same.
                    yield convert(converters, row[: len(columns)])
                except (ValueError, TypeError, ArithmeticError) as error:
                    raise NotPortable(f"a row of {table.name}", str(error).rstrip(".")) from error
            progress(len(batch))


def _select(connection: Connection, table: PortableTable, columns: list[tuple[str, Kind]]) -> str:
    postgres = connection.dialect.name == "postgresql"
    kinds = dict(columns)

    def read(column: str) -> str:
        name = quoted(connection, column)
        if kinds[column] == Kind.OTHER or (postgres and kinds[column] == Kind.TEXT and column not in table.padded):
            # What the output function of the type writes. A cast may write something else, and that of an enumeration
            # may be the tenant's and call anything. A composite that has only null is not null itself.
            return f"CASE num_nulls({name}) WHEN 0 THEN format('%%s', {name}) END"
        return f"{name}::text" if postgres and kinds[column] in FROM_TEXT else name

    def order(column: str) -> str:
        # By bytes on both engines, so that the same rows make the same file.
        collate = ' COLLATE "C"' if postgres and kinds.get(column) == Kind.TEXT else ""
        return quoted(connection, column) + collate

    ordered = f" ORDER BY {', '.join(map(order, table.key))}" if table.key else ""
    names = ", ".join(map(read, kinds)) or "NULL"
    return f"SELECT {names} FROM {table.source(connection)}{ordered}"  # noqa: S608
