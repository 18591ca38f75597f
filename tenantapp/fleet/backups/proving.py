"""Prove that a copy equals its database: restore it, read both in full, and compare."""

from uuid import UUID

from sqlalchemy.engine import URL

from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.contents.contents import Contents, differences, read_contents
from tenantapp.databases.contents.contents import Progress as RowsRead
from tenantapp.databases.schemas.structure import found_in, read_structure
from tenantapp.databases.servers.scratch import remove_scratch, scratch_mark, scratch_name
from tenantapp.fleet.backups.chunks import Progress
from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.backups.restored_forms import Side, side_at, structure_differences
from tenantapp.fleet.backups.restoring import restore_database
from tenantapp.fleet.backups.store import Store
from tenantapp.fleet.errors import CopyNotProved
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.engines import server_version
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import Server

NAME = "a scratch database"


@checkpoint("final_copy.prove")
def prove_copy(
    fleet: Fleet,
    place: TenantPlace,
    record: BackupRecord,
    store: Store,
    key: UUID,
    restored: Progress,
    read: RowsRead,
) -> int:
    """Restore a copy from the store, compare it with the tenant's database, and return the number of rows.

    The database is read after the copy was made, on a connection that sees every row or fails. So whatever was written
    since, or left out by the dump, is a difference. ``restored`` gets numbers of bytes, ``read`` numbers of rows. The
    scratch database is on the tenant's server, which needs room for it. ``key`` identifies the scratch databases of
    attempts that were killed. Raises ``CopyNotProved`` and what ``restore_database`` and ``read_contents`` raise.
    """
    server, name = fleet.servers[place.server], f"the database of {place.slug}"
    remove_scratch(server, key)
    with scratch_name(server, key) as scratch:
        mark = scratch_mark(fleet)
        # All that the database has, whatever the history says: the scratch database serves nobody.
        given = record.privileges
        restore_database(fleet, server, scratch, record, store, mark, NAME, restored, privileges=given)
        copy = _all_of(server, server.own_url(scratch), NAME, read)
        original = _all_of(server, server.own_url(place.database), name, read)
        wrong = [*structure_differences(fleet, original[0], copy[0]), *differences(original[1], copy[1])]
    if wrong:
        raise CopyNotProved(name, found_in(wrong))
    return original[1].rows


def _all_of(server: Server, url: URL, name: str, read: RowsRead) -> tuple[Side, Contents]:
    with reading_connection(url, name) as connection, connection.begin():
        side = side_at(name, server, server_version(connection), read_structure(connection), url)
        return side, read_contents(connection, name, read)
