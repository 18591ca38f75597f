"""Copy a tenant's database on its own PostgreSQL server by cloning the files, where the server does that."""

from collections.abc import Mapping

from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.histories.targets import tenant_target
from tenantapp.databases.privileges.catalogue import DEFAULT, read_privileges
from tenantapp.databases.privileges.giving import check_given_again, give_privileges
from tenantapp.databases.servers.postgres_clones import has_others
from tenantapp.databases.servers.postgres_databases import PostgresDatabases
from tenantapp.fleet.closing.fence import fenced_for_a_copy
from tenantapp.fleet.copying.copies import Copied
from tenantapp.fleet.copying.originals import Original, original_of, single_revision
from tenantapp.fleet.errors import CopyFailed
from tenantapp.operations.fleet import Fleet, time_of_requests
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import PostgresServer


def clone_files(fleet: Fleet, source: TenantPlace, place: TenantPlace, mark: str) -> Copied | None:
    """Make the database of a place as ``copy_database`` does, but by cloning the files of the source's.

    The source's people are kept out meanwhile. Return None, with nothing made, if that cannot be done: the server does
    not clone files, the place is on another one, the copy would not be as a dump makes it, or somebody else works on
    the source. Raises ``CopyFailed``, and what ``check_given_again`` and connections raise.
    """
    server = fleet.servers[place.server]
    if source.server != place.server or not isinstance(server, PostgresServer):
        return None
    databases, original = PostgresDatabases(server), original_of(fleet.servers, source)
    # What is there already is another attempt's: copy_database refuses it.
    if not databases.clones_files() or databases.exists(place.database):
        return None
    if (privileges := _carried(original, server)) is None:
        return None
    with fenced_for_a_copy(fleet.user_db, source.id) as holds_fence:
        patience = time_of_requests(fleet.settings)
        if not holds_fence() or not databases.clone(source.database, place.database, mark, patience, holds_fence):
            return None
    databases.open_clone(source.database, place.database)
    target = tenant_target(fleet, place)
    give_privileges(target.url, target.name, privileges, CopyFailed)
    with reading_connection(target.url, target.name) as connection, connection.begin():
        return Copied("clone", single_revision(connection, target.name))


def _carried(original: Original, server: PostgresServer) -> Mapping[str, str] | None:
    """Return the privileges to give to the copy. Return None if the files have something that a dump leaves out."""
    with original.reading() as connection:
        privileges = read_privileges(connection)
        # Default privileges are kept for the role of the original, and cannot be given away.
        is_otherwise = has_others(connection) or any(thing.startswith(DEFAULT) for thing in privileges)
    check_given_again(privileges, server, original.name)
    return None if is_otherwise else privileges
