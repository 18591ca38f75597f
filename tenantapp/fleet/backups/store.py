"""The store of backups: a directory, or another place that fsspec reaches (``s3://bucket/path``, ``memory://``).

https://filesystem-spec.readthedocs.io/
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar
from uuid import UUID

import fsspec
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from tenantapp.databases.servers.durable_files import sync
from tenantapp.fleet.backups.chunks import CHUNK
from tenantapp.fleet.backups.file_names import begun, is_under
from tenantapp.fleet.backups.records import (
    BUNDLE_SUFFIX,
    FINAL_SUFFIX,
    RECORD_SUFFIX,
    BackupRecord,
    FinalBundle,
    FinalCopy,
    StoredFile,
)
from tenantapp.fleet.errors import BackupDamaged, BackupFailed, BackupRefused
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.settings import Settings

OF_A_BUNDLE: Final = f".{BUNDLE_SUFFIX}{RECORD_SUFFIX}"
LIST_SUFFIX: Final = ".list"
LONGEST_RECORD: Final = 2**20  # bytes; it is a page of text
PART_SUFFIX: Final = ".part"
ABANDONED: Final = timedelta(
    days=1
)  # no backup takes longer: an older file without a record belongs to a killed backup

Record = TypeVar("Record", bound=StoredFile)


class Store:
    """The files of all backups, in a directory for each tenant. Paths are relative to the store."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    @property
    def directory(self) -> Path | None:
        """Return the directory on this machine that holds the store, or None if the store is elsewhere."""
        return Path(self._root) if isinstance(self._filesystem, LocalFileSystem) else None

    @checkpoint("store.write")
    def write(self, file: str, chunks: Iterable[bytes]) -> tuple[int, str]:
        """Write a file, and return its size in bytes and its SHA-256. If that fails, the file is removed.

        Raises ``BackupFailed`` and what ``chunks`` raise.
        """
        digest, size = hashlib.sha256(), 0
        with _translated(file), self._new(file) as stream:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                stream.write(chunk)
        return size, digest.hexdigest()

    def read(self, file: str) -> Iterator[bytes]:
        """Yield the content of a file. Raises ``FileNotFoundError`` and ``BackupFailed``."""
        try:
            with self._filesystem.open(self._path(file), "rb") as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _failed(file, error) from error

    @checkpoint("store.add")
    def add(self, record: StoredFile) -> None:
        """Write a record atomically: under another name, which is then renamed. Raises ``BackupFailed``."""
        part = f"{record.file}.part"
        self.write(part, [record.model_dump_json(indent=2).encode()])
        with _translated(record.path):
            self._filesystem.mv(self._path(part), self._path(record.path))
            self._sync_names(record.file)

    def records(self, tenant_id: UUID) -> list[BackupRecord]:
        """Return the backups of a tenant, newest first.

        Raises ``BackupFailed``, and ``BackupDamaged`` for a record that cannot be read.
        """
        files = [file for file in self._files(tenant_id) if not file.endswith(OF_A_BUNDLE) and not _is_final(file)]
        return self._read_records(files, BackupRecord)

    def final_copies(self, tenant_id: UUID) -> list[FinalCopy]:
        """Return the final copies of a tenant, newest first. Raises what ``records`` raises."""
        return self._read_records([file for file in self._files(tenant_id) if _is_final(file)], FinalCopy)

    def final_bundles(self, tenant_id: UUID) -> list[FinalBundle]:
        """Bundles that earlier versions made before the tenant was removed, the newest first.

        Raises what ``records`` does.
        """
        files = [file for file in self._files(tenant_id) if file.endswith(OF_A_BUNDLE)]
        return self._read_records(files, FinalBundle)

    def check(self, record: StoredFile) -> None:
        """Read a whole file and compare it with its record. Raises ``BackupDamaged`` and ``BackupFailed``."""
        for _ in self.checked(record):
            pass

    def checked(self, record: StoredFile) -> Iterator[bytes]:
        """Yield the content of a file. Raises ``BackupFailed``, and at the end ``BackupDamaged`` if it was altered."""
        digest, size = hashlib.sha256(), 0
        try:
            for chunk in self.read(record.file):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        except FileNotFoundError as error:
            raise BackupDamaged(record.file, "the file is missing") from error
        if (size, digest.hexdigest()) != (record.size, record.sha256):
            raise BackupDamaged(record.file, "its size or checksum is not that of its record")

    def remove(self, record: BackupRecord) -> None:
        """Remove a backup, the record first: if the process dies in between, the rest is no backup."""
        for file in (record.path, record.file):
            self._remove(file)

    def remove_directory(self, directory: str) -> None:
        """Remove a directory that is not a tenant's, with its content. A missing one is no error."""
        with suppress(FileNotFoundError):
            self._filesystem.rm(self._path(directory), recursive=True)

    def count_files(self, tenant_id: UUID) -> int:
        """Return how many files the store has of a tenant, records and lists included. Raises ``BackupFailed``."""
        return sum(len(self._names(directory)) for directory in (tenant_id.hex, _files_directory(tenant_id)))

    def remove_tenant(self, tenant_id: UUID) -> None:
        """Remove everything that the store has of a tenant. Raises ``BackupFailed``."""
        for directory in (tenant_id.hex, _files_directory(tenant_id)):
            with _translated(directory):
                self.remove_directory(directory)

    def remove_abandoned(self, tenant_id: UUID, now: datetime, key: UUID | None = None) -> list[str]:
        """Remove what killed attempts have left: if it is older than a day, or made under this key; returns the paths.

        Raises ``BackupFailed``.
        """
        files = self._files(tenant_id)
        recorded = {file.removesuffix(RECORD_SUFFIX) for file in files if file.endswith(RECORD_SUFFIX)}
        left = [file for file in files if not file.endswith(RECORD_SUFFIX) and file not in recorded]
        gone = [file for file in left if begun(file) < now - ABANDONED or (key and is_under(key, file))]
        for file in gone:
            self._remove(file)
        return gone

    def kept_files(self, tenant_id: UUID) -> set[UUID]:
        """Return the ids of the tenant's files whose content the store has. Raises ``BackupFailed``."""
        names = self._names(_files_directory(tenant_id))
        return {UUID(hex=name) for name in names if not name.endswith((LIST_SUFFIX, PART_SUFFIX))}

    def keep_file(self, tenant_id: UUID, file_id: UUID, content: Iterable[bytes], sha256: str) -> bool:
        """Keep the content of a file for the tenant's backups. Returns whether it is what its row says.

        A file never changes, so it is kept once for all backups. Raises ``BackupFailed`` and what ``content`` raises.
        """
        file = f"{_files_directory(tenant_id)}/{file_id.hex}"
        # Under another name first: what has the file's own name is complete.
        part = f"{file}{PART_SUFFIX}"
        _, written = self.write(part, content)
        if written != sha256:
            self._remove(part)
            return False
        with _translated(file):
            self._filesystem.mv(self._path(part), self._path(file))
            self._sync_names(file)
        return True

    def read_kept(self, tenant_id: UUID, file_id: UUID) -> Iterator[bytes]:
        """Yield the content of a kept file. Raises ``FileNotFoundError`` and ``BackupFailed``."""
        return self.read(f"{_files_directory(tenant_id)}/{file_id.hex}")

    def list_files_of(self, record: StoredFile, files: Iterable[UUID]) -> None:
        """Write which files a backup refers to: they are kept for as long as the backup is."""
        lines = "".join(f"{file_id.hex}\n" for file_id in files)
        self.write(f"{_files_directory(record.tenant_id)}/{record.id}{LIST_SUFFIX}", [lines.encode()])

    def remove_unlisted_files(self, tenant_id: UUID, now: datetime) -> int:
        """Remove the content of files that no backup refers to, and return how many. Raises ``BackupFailed``."""
        directory = _files_directory(tenant_id)
        names = self._names(directory)
        recorded = {
            PurePosixPath(file.removesuffix(RECORD_SUFFIX)).stem
            for file in self._files(tenant_id)
            if file.endswith(RECORD_SUFFIX)
        }
        listed: set[str] = set()
        for name in [name for name in names if name.endswith(LIST_SUFFIX)]:
            if name.removesuffix(LIST_SUFFIX) in recorded or begun(name) >= now - ABANDONED:
                listed |= set(b"".join(self.read(f"{directory}/{name}")).decode().split())
            else:
                self._remove(f"{directory}/{name}")
        content = {name for name in names if not name.endswith(LIST_SUFFIX)}
        # Of a backup that is being made there is no list yet.
        gone = [name for name in content - listed if self._written(f"{directory}/{name}") < now - ABANDONED]
        for name in gone:
            self._remove(f"{directory}/{name}")
        return len(gone)

    def _written(self, file: str) -> datetime:
        with _translated(file):
            moment: datetime = self._filesystem.modified(self._path(file))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def _remove(self, file: str) -> None:
        with _translated(file), suppress(FileNotFoundError):
            self._filesystem.rm_file(self._path(file))

    def _files(self, tenant_id: UUID) -> list[str]:
        return [f"{tenant_id.hex}/{name}" for name in self._names(tenant_id.hex)]

    def _names(self, directory: str) -> list[str]:
        path = self._path(directory)
        with _translated(directory):
            if not self._filesystem.isdir(path):
                return []
            self._filesystem.invalidate_cache(path)
            found = self._filesystem.ls(path, detail=False)
        return sorted(Path(each).name for each in found)

    @contextmanager
    def _new(self, file: str) -> Iterator[Any]:
        """Yield a stream for a new file. After the block the file is on the disk; if the block fails, it is removed."""
        path = self._path(file)
        self._filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        try:
            with self._filesystem.open(path, "wb") as stream:
                yield stream
            self._sync(file)
        except BaseException:
            with suppress(FileNotFoundError):
                self._filesystem.rm_file(path)
            raise

    def _read_records(self, files: list[str], model: type[Record]) -> list[Record]:
        found = []
        for file in files:
            if file.endswith(RECORD_SUFFIX):
                with suppress(FileNotFoundError):  # removed a moment ago
                    found.append(self._record(file, model))
        return sorted(found, key=lambda record: (record.created_at, record.file), reverse=True)

    def _record(self, file: str, model: type[Record]) -> Record:
        try:
            record = model.model_validate_json(self._beginning(file, LONGEST_RECORD))
        except ValidationError as error:
            raise BackupDamaged(file, "its record cannot be read") from error
        # A record that was copied into another tenant's directory would restore one tenant's data for the other.
        if record.path != file or record.tenant_id.hex != file.partition("/")[0]:
            raise BackupDamaged(file, f"its record is that of {record.file} of the tenant {record.tenant_id}")
        return record

    def _beginning(self, file: str, most: int) -> bytes:
        """Return the content of a small file, or about ``most`` bytes of a larger one."""
        content = bytearray()
        for chunk in self.read(file):
            content += chunk
            if len(content) >= most:
                break
        return bytes(content)

    def _sync(self, file: str) -> None:
        """Write a file of this machine through to the disk. Elsewhere, the service of the store does that."""
        if isinstance(self._filesystem, LocalFileSystem):
            sync(Path(self._path(file)))
            self._sync_names(file)

    def _sync_names(self, file: str) -> None:
        if isinstance(self._filesystem, LocalFileSystem):
            directory = Path(self._path(file)).parent
            sync(directory)
            sync(directory.parent)

    def _path(self, file: str) -> str:
        return f"{self._root}/{file}"


def _files_directory(tenant_id: UUID) -> str:
    """Return the directory with the content of a tenant's files, and with the lists of those of each backup."""
    return f"files/{tenant_id.hex}"


def made_for(records: Iterable[Record], key: UUID) -> Record | None:
    """Return the record made under this key, or None if there is none."""
    return next((record for record in records if is_under(key, record.file)), None)


def _is_final(file: str) -> bool:
    return f".{FINAL_SUFFIX}." in Path(file).name


def open_store(settings: Settings) -> Store:
    """Return the store of the settings. Raises ``BackupRefused`` if there is none, or if it cannot be used."""
    if settings.backups_store is None:
        raise BackupRefused("the setting backups.store is missing: it says where backups are kept")
    try:
        return Store(*fsspec.core.url_to_fs(settings.backups_store))
    except (ImportError, ValueError) as error:
        raise BackupRefused(f"the setting backups.store cannot be used ({str(error).rstrip('.')})") from error


@contextmanager
def _translated(file: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failed(file, error) from error


def _failed(file: str, error: OSError) -> BackupFailed:
    return BackupFailed("The store for backups", file, error.strerror or str(error))
