"""Carry the content of tenants' files: into copies, backups and restored databases.

A database that is copied has the rows of ``tenant_files``. What lies in the storage is carried by these functions. A
file never changes, so what is there under its id need not be carried again, and a step that was killed is repeated.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import inspect, select
from sqlalchemy.engine import URL, Connection

from tenantapp.databases.connections.maintenance_engines import reading_connection, schema_of
from tenantapp.files.errors import FilesUnavailable
from tenantapp.files.storage import Storage, open_storage
from tenantapp.fleet.errors import FilesNotCarried
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.kinds import Context
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.models import TenantFile

Source = Callable[[UUID], Iterable[bytes]]
"""Yields the content of the file with an id. Raises ``FileNotFoundError``."""


class ListedFile(NamedTuple):
    """A file of which there is a row. ``size`` is in bytes, ``sha256`` in hexadecimal."""

    id: UUID
    size: int
    sha256: str


def listed_files(url: URL, name: str) -> list[ListedFile]:
    """Return the files that a tenant's database lists. ``name`` names it in messages.

    Raises what ``reading_connection`` raises.
    """
    with reading_connection(url, name) as connection, connection.begin():
        return listed_in(connection)


def listed_in(connection: Connection) -> list[ListedFile]:
    """Return the files that a transaction sees the rows of."""
    if not inspect(connection).has_table(TenantFile.__tablename__, schema_of(connection)):
        return []
    rows = connection.execute(select(TenantFile.id, TenantFile.size, TenantFile.sha256).order_by(TenantFile.id))
    return [ListedFile(*row) for row in rows]


def begun(content: Iterable[bytes]) -> Iterator[bytes]:
    """Return the same content, of which the first piece is read. Raises what reading it raises."""
    pieces = iter(content)
    first = next(pieces, b"")
    return chain([first], pieces)


def storage_of(settings: Settings) -> Storage | None:
    """Return the storage of files, or None if the installation has none. Raises ``FilesUnavailable``."""
    return None if settings.files_storage is None else open_storage(settings)


def bring(
    settings: Settings,
    files: Iterable[ListedFile],
    tenant_id: UUID,
    slug: str,
    sources: Sequence[Source],
    told: Callable[[int], None],
) -> dict[str, int]:
    """Bring files to a tenant's directory in the storage, each from the first source that has it.

    ``told`` gets the size of each. Returns what the result of an operation says: nothing if there are no files, else
    their number in ``files``, and in ``files_missing`` the number of those that no source has. Raises
    ``FilesNotCarried`` and what ``sources`` and ``told`` raise.
    """
    files, missing = list(files), 0
    if not files:
        return {}
    with carrying(slug):
        storage = storage_of(settings)
        there = {} if storage is None else storage.sizes(tenant_id)
        for file in files:
            is_there = there.get(file.id) == file.size
            if storage is None or not (is_there or _bring_one(storage, file, tenant_id, sources)):
                missing += 1
            told(file.size)
    return counts(len(files), missing)


@checkpoint("files.bring_one")
def _bring_one(storage: Storage, file: ListedFile, tenant_id: UUID, sources: Sequence[Source]) -> bool:
    for source in sources:
        try:
            written = storage.write(tenant_id, file.id, _bounded(source(file.id), file.size))
        except FileNotFoundError:
            continue
        if (written.size, written.sha256) == (file.size, file.sha256):
            return True
        storage.remove(tenant_id, file.id)
    return False


def _bounded(content: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield content until it is more than its row says: a forged bundle could unpack to any amount."""
    for piece in content:
        yield piece
        size -= len(piece)
        if size < 0:
            return


def from_tenant(settings: Settings, tenant_id: UUID) -> Source:
    """Return the source of a tenant's files in the storage."""

    def read(file_id: UUID) -> Iterator[bytes]:
        storage = storage_of(settings)
        if storage is None:
            raise FileNotFoundError(file_id)
        yield from storage.read(tenant_id, file_id)

    return read


def remove_files(settings: Settings, tenant_id: UUID, slug: str) -> None:
    """Remove all files of a tenant from the storage. Raises ``FilesNotCarried``."""
    with carrying(slug):
        storage = storage_of(settings)
        if storage is not None:
            storage.remove_tenant(tenant_id)


def bring_to_new(context: Context, place: TenantPlace, sources: Sequence[Source]) -> dict[str, int]:
    """Bring the files that a new database lists to its tenant, see ``bring``. This is a step of an operation."""
    fleet, done = context.fleet, 0
    files = listed_files(fleet.servers[place.server].tenant_url(place.database), f"the database of {place.slug}")

    def told(size: int) -> None:
        nonlocal done
        done += size
        context.progress(0.0, f"{done / 2**20:.0f} MiB of files")

    return bring(fleet.settings, files, place.id, place.slug, sources, told)


def remove_new_files(context: Context) -> None:
    """Undo ``bring_to_new`` for a tenant that is being made."""
    given = context.arguments
    remove_files(context.fleet.settings, UUID(given["tenant_id"]), given["slug"])


def counts(files: int, missing: int) -> dict[str, int]:
    """Return what the result of an operation says about files: nothing if there are none."""
    found = {"files": files} if files else {}
    return {**found, "files_missing": missing} if missing else found


@contextmanager
def carrying(slug: Any) -> Iterator[None]:
    """Translate the errors of the storage."""
    try:
        yield
    except FilesUnavailable as error:
        raise FilesNotCarried(slug, error.reason.rstrip(".")) from error
