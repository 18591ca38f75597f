"""Keep the content of a tenant's files beside its backups, each file once for all backups that refer to it."""

from uuid import UUID

from tenantapp.fleet.backups.chunks import Progress, counted
from tenantapp.fleet.backups.records import StoredFile
from tenantapp.fleet.backups.store import Store
from tenantapp.fleet.tenant_files import ListedFile, Source, begun, carrying, from_tenant, listed_files
from tenantapp.operations.fleet import Fleet
from tenantapp.tenancy.access import TenantPlace


class FilesKept:
    """What a backup keeps of files: call ``keep`` before the dump is written, and after it.

    So a file that is deleted meanwhile is kept, if the dump has its row. Afterwards ``ids`` are the files that the
    backup refers to, and ``missing`` is the number of those whose content is gone.
    """

    def __init__(self, fleet: Fleet, place: TenantPlace, store: Store, progress: Progress) -> None:
        self._fleet, self._place, self._store, self._progress = fleet, place, store, progress
        self._kept: set[UUID] | None = None
        self.ids: set[UUID] = set()
        self._missing: set[UUID] = set()

    @property
    def missing(self) -> int:
        """Return how many files have no content."""
        return len(self._missing)

    def keep(self) -> None:
        """Keep what is not kept yet. Raises ``FilesNotCarried``, ``BackupFailed``, and what ``progress`` raises."""
        place, server = self._place, self._fleet.servers[self._place.server]
        files = listed_files(server.tenant_url(place.database), f"the database of {place.slug}")
        if files and self._kept is None:
            self._kept = self._store.kept_files(place.id)
        for file in files:
            self.ids.add(file.id)
            if file.id not in (self._kept or ()):
                self._keep_one(file)

    def listed(self, record: StoredFile) -> None:
        """Write the list of the files, before the record is added."""
        if self.ids:
            self._store.list_files_of(record, sorted(self.ids))

    def _keep_one(self, file: ListedFile) -> None:
        place, settings = self._place, self._fleet.settings
        try:
            with carrying(place.slug):
                content = begun(counted(from_tenant(settings, place.id)(file.id), self._progress))
                is_right = self._store.keep_file(place.id, file.id, content, file.sha256)
        except FileNotFoundError:
            is_right = False
        if is_right and self._kept is not None:
            self._kept.add(file.id)
        (self._missing.discard if is_right else self._missing.add)(file.id)


def from_backups(store: Store, tenant_id: UUID) -> Source:
    """Return the source of a tenant's files in the store of backups."""
    return lambda file_id: store.read_kept(tenant_id, file_id)
