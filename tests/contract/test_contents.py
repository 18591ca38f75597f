"""A copy that lacks anything, whatever it is, is told from the database it is of."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import MetaData, create_engine, select
from sqlalchemy.engine import URL, Connection
from sqlalchemy.pool import NullPool

from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.contents.contents import Contents, differences, read_contents
from tenantapp.databases.contents.postgres_contents import check_every_row_seen
from tenantapp.databases.errors import ReadingFailed, RowsHidden
from tenantapp.databases.histories.histories import heads_of
from tenantapp.databases.schemas.structure import Structure, difference, read_structure
from tenantapp.fleet.backups.backing_up import backup_tenant
from tenantapp.fleet.backups.proving import prove_copy
from tenantapp.fleet.backups.rehearsing import rehearse_restore
from tenantapp.fleet.backups.restoring import restore_database
from tenantapp.fleet.bundles.exporting import rows_of
from tenantapp.fleet.bundles.tables import portable_tables
from tenantapp.fleet.copying.originals import identities_of
from tenantapp.fleet.copying.replicable import CAPABLE
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.models import TenantIdentity
from tests.contract import decoys
from tests.contract.conftest import Fleet
from tests.contract.everything import POSTGRES_LOSSES, SQLITE_LOSSES, add_everything
from tests.contract.kept import Kept

COPY = "scratch_copy"


@pytest.fixture
def kept(fleet: Fleet) -> Kept:
    kept = Kept(fleet)
    add_everything(kept)
    return kept


@pytest.fixture
def copy(kept: Kept) -> URL:
    """A copy of the database of acme, by the server's own role: a backup, restored."""
    fleet, server = kept.fleet, kept.fleet.servers["main"]
    record = backup_tenant(fleet.services, kept.place(), kept.store)
    restore_database(fleet.services, server, COPY, record, kept.store, fleet.mark(), "the copy", privileges={})
    return server.own_url(COPY)


def original(kept: Kept) -> URL:
    place = kept.place()
    return kept.fleet.servers[place.server].own_url(place.database)


def read(url: URL) -> tuple[Structure, Contents]:
    with reading_connection(url, "it") as connection, connection.begin():
        return read_structure(connection), read_contents(connection, "it")


@contextmanager
def rolled_back(url: URL) -> Iterator[Connection]:
    """A connection, all of whose changes are undone at the end."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        yield connection
        connection.rollback()


def test_each_loss_is_found(kept: Kept, copy: URL) -> None:
    (_, contents), (structure, copied) = read(original(kept)), read(copy)
    assert copied == contents
    missed = {}
    for loss, found in (SQLITE_LOSSES if kept.fleet.admin is None else POSTGRES_LOSSES).items():
        with rolled_back(copy) as connection:
            connection.exec_driver_sql(loss.replace("%", "%%") if kept.fleet.admin else loss)
            what = [
                *difference(structure, read_structure(connection)),
                *differences(contents, read_contents(connection, "it")),
            ]
        if not any(found in line for line in what):
            missed[loss] = what
    assert missed == {}


def test_a_row_that_should_not_be_there_is_found(kept: Kept, copy: URL) -> None:
    contents = read(original(kept))[1]
    kept.add_tag("second")
    assert differences(contents, read(original(kept))[1]) == ["the table tags has 2 rows and not 1"]
    lacking = contents.without(frozenset({"tags"}))
    assert differences(lacking, contents) == ["the table tags should not be there"]
    assert contents.rows == lacking.rows + 1


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_whoever_does_not_see_every_row_reads_nothing(kept: Kept) -> None:
    place = kept.place()
    url = kept.fleet.servers[place.server].tenant_url(place.database)
    with pytest.raises(RowsHidden, match=f"row level security hides rows of secrets from the role {place.database}"):
        read(url)
    # Whatever is read without looking at the policies first fails as well, and is not cut short.
    with pytest.raises(ReadingFailed, match="row-level security policy"), reading_connection(url, "it") as connection:
        connection.exec_driver_sql("SELECT count(*) FROM public.secrets")
    record = backup_tenant(kept.fleet.services, place, kept.store)
    assert rehearse_restore(kept.fleet.services, kept.fleet.servers["main"], record, kept.store).rows is None
    kept.execute(f'ALTER DATABASE "{place.database}" SET row_security = on')
    with pytest.raises(ReadingFailed, match="row-level security policy"), reading_connection(url, "it") as connection:
        connection.exec_driver_sql("SELECT count(*) FROM public.secrets")


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_the_role_of_the_server_calls_nothing_of_a_tenants(fleet: Fleet) -> None:
    """While it looks at a database, backs it up, restores that, and proves a copy."""
    kept = Kept(fleet)
    place, server, key = kept.place(), kept.fleet.servers["main"], uuid7()
    decoys.lay(server.tenant_url(place.database))
    with reading_connection(original(kept), "it") as connection, connection.begin():
        check_every_row_seen(connection, "it")
        assert len(heads_of(connection)) == 1
        assert identities_of(connection) == [place.id.hex]
        assert connection.scalars(select(TenantIdentity.tenant_id)).all() == [place.id]
        assert connection.exec_driver_sql(CAPABLE).one().secured is None
        [moods] = [table for table in portable_tables(connection, MetaData()) if table.name == "moods"]
        assert sorted(rows_of(connection, moods, moods.kinds()), key=str) == [["glad"], [None]]
    record = backup_tenant(fleet.services, place, kept.store)
    rows = rehearse_restore(fleet.services, server, record, kept.store).rows
    assert rows is not None
    assert rows["tags"] == 1
    assert prove_copy(fleet.services, place, record, kept.store, key, lambda size: None, lambda rows: None) > 1


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_what_is_read_does_not_depend_on_settings(kept: Kept) -> None:
    structure, contents = read(original(kept))
    database = kept.place().database
    for setting in (
        "TimeZone = 'Asia/Kathmandu'",
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = 'sql_standard'",
        "extra_float_digits = -5",
        "bytea_output = 'escape'",
        "search_path = 'archive'",
    ):
        kept.execute(f'ALTER DATABASE "{database}" SET {setting}')
    found = read(original(kept))
    assert (found[0].definitions, found[1]) == (structure.definitions, contents)
    with reading_connection(original(kept), "it") as connection:
        settings = ("TimeZone", "DateStyle", "IntervalStyle", "extra_float_digits", "row_security")
        shown = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in settings]
    assert shown == ["UTC", "ISO, MDY", "postgres", "3", "off"]
