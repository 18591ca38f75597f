"""Compare structures, in the form that a dump and a restore give them if they are written differently.

PostgreSQL prints an expression as it has read it. A dump has what was printed, and the restored database may print it
in another way: ``BETWEEN`` beside ``AND``, or ``IN`` with values that are cast. So a database that the history has made
and a copy of it may differ as printed. Then the server prints both structures again, in their restored form.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.engine import URL

from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.errors import ReadingFailed
from tenantapp.databases.schemas.expected import KnownStructures, database_at, expected_structure, structure_at
from tenantapp.databases.schemas.structure import (
    Structure,
    difference,
    fingerprint,
    redefined,
    same_parts_differ,
)
from tenantapp.databases.servers.scratch import scratch_database
from tenantapp.fleet.backups.postgres_dumps import copy_structure
from tenantapp.fleet.backups.postgres_tools import fitting_tools
from tenantapp.fleet.errors import BackupRefused
from tenantapp.operations.errors import FleetError
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.tenancy.servers import Server, SqliteServer

COPY: Final = "a scratch database with the structure of {}"
# Most expressions are as they stay after one restore. The next restore shows that.
MOST_RESTORES: Final = 3


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: a structure, and the server that printed it, with its version.

    ``database`` opens a database with this structure, to dump it. ``name`` is that of the database in messages.
    """

    name: str
    server: Server
    version: tuple[int, ...]
    structure: Structure
    database: Callable[[], AbstractContextManager[URL]]


class Key(NamedTuple):
    """What a restored form depends on."""

    server: URL
    version: tuple[int, ...]
    fingerprint: str


def side_at(name: str, server: Server, version: tuple[int, ...], structure: Structure, url: URL) -> Side:
    """Return the side of a structure that was read from the database at this URL."""
    return Side(name, server, version, structure, lambda: nullcontext(url))


def side_of_revision(fleet: Fleet, server: Server, version: tuple[int, ...], revision: str) -> Side:
    """Return the side of the structure that a revision should have. Raises what ``expected_structure`` raises."""
    structure = expected_structure(fleet, server, version, revision)
    return Side(f"revision {revision}", server, version, structure, partial(database_at, fleet, server, revision))


def structure_differences(fleet: Fleet, expected: Side, found: Side) -> list[str]:
    """Return the faults of the found structure, one line each; no lines if both are equal.

    Structures that are equal as printed need no tools and no scratch database. If a definition differs, the restored
    forms are compared. If they cannot be made, the lines tell how the structures differ as printed, and the first line
    says why.
    """
    printed = difference(expected.structure, found.structure)
    if isinstance(found.server, SqliteServer) or not same_parts_differ(expected.structure, found.structure):
        return printed
    try:
        should = restored_form(fleet, expected)
        # A restored copy is written like that already.
        return difference(should, found.structure) and difference(should, restored_form(fleet, found))
    except FleetError as error:
        reason = error.reason if isinstance(error, BackupRefused) else str(error).rstrip(".")
        return [f"definitions are compared only as the server printed them ({reason})", *printed]


def restored_form(fleet: Fleet, side: Side) -> Structure:
    """Return a structure as its server prints it after as many dumps and restores as change it.

    On SQLite it is the structure itself, because a copy has the statements of the original. Parts that a dump does not
    carry stay as they are. The forms are kept in this process for ten minutes. Raises ``BackupRefused`` if a tool is
    missing, ``BackupFailed``, ``ReadingFailed`` if the database does not have this structure any more, and what
    ``scratch_database`` and opening the side's database raise.
    """
    if isinstance(side.server, SqliteServer):
        return side.structure
    form = _known.get(_key(side, side.structure), lambda: _restored(fleet, side))
    return _known.get(_key(side, form), lambda: form)  # its own form is known as well


def _key(side: Side, structure: Structure) -> Key:
    return Key(side.server.url, side.version, fingerprint(structure))


def _restored(fleet: Fleet, side: Side) -> Structure:
    form, name, copied = side.structure, side.name, COPY.format(side.name)
    with ExitStack() as stack:
        url = original = stack.enter_context(side.database())
        for _ in range(MOST_RESTORES):
            copy = stack.enter_context(scratch_database(fleet, "tenant", server=side.server))
            _copy_structure(fleet.settings, (url, name), (copy, copied), side.server.extensions)
            before, form = form, redefined(form, structure_at(copy, copied))
            if form == before:
                break
            url, name = copy, copied
        # It may have been migrated after it was read. Then the form is that of another structure.
        if not set(side.structure.parts) <= set(structure_at(original, side.name).parts):
            raise ReadingFailed(side.name, "its structure was changed meanwhile")
    return form


def _copy_structure(
    settings: Settings, original: tuple[URL, str], copy: tuple[URL, str], given: Collection[str]
) -> None:
    """Copy the structure of a database into an empty one, which has the ``given`` extensions.

    Both are given as URL and name.
    """
    with reading_connection(*original) as connection:
        tools = fitting_tools(settings, connection)
        with connection.begin():
            snapshot = str(connection.scalar(select(func.pg_export_snapshot())))
            copy_structure(tools, original, copy, snapshot, given)


_known: Final = KnownStructures()
