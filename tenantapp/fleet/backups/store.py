"""Where backups are kept: a directory, or whatever else fsspec reaches (``s3://bucket/path``, ``memory://``).

https://filesystem-spec.readthedocs.io/
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import fsspec
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from tenantapp.fleet.backups.records import BackupRecord, record_path
from tenantapp.fleet.errors import BackupDamaged, BackupRefused
from tenantapp.settings import Settings
from tenantapp.tenancy.ids import uuid7

CHUNK: Final = 2**20
STAMP: Final = "%Y%m%dT%H%M%SZ"
RECORD_SUFFIX: Final = record_path("")
ABANDONED: Final = timedelta(days=1)  # no backup takes longer; a dump without record is of one that was killed


class Store:
    """The files of all tenants' backups, in a directory for each tenant."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    def new_file(self, tenant_id: UUID, created_at: datetime, suffix: str) -> str:
        """The path of a new dump. It sorts by time, and no two are the same."""
        return f"{tenant_id.hex}/{created_at.astimezone(UTC):{STAMP}}-{uuid7().hex[-8:]}.{suffix}"

    def write(self, file: str, chunks: Iterable[bytes]) -> tuple[int, str]:
        """Write a file; returns its size in bytes and its SHA-256. What fails, or is interrupted, is removed."""
        path = self._path(file)
        self._filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        digest, size = hashlib.sha256(), 0
        try:
            with self._filesystem.open(path, "wb") as stream:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    stream.write(chunk)
                if isinstance(self._filesystem, LocalFileSystem):
                    stream.flush()
                    os.fsync(stream.fileno())
        except BaseException:
            with suppress(FileNotFoundError):
                self._filesystem.rm_file(path)
            raise
        return size, digest.hexdigest()

    def read(self, file: str) -> Iterator[bytes]:
        """The content of a file. Raises ``FileNotFoundError``."""
        with self._filesystem.open(self._path(file), "rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk

    def add(self, record: BackupRecord) -> None:
        """Write a record, all at once: under another name, then renamed."""
        part = f"{record.file}.part"
        self.write(part, [record.model_dump_json(indent=2).encode()])
        self._filesystem.mv(self._path(part), self._path(record.path))

    def records(self, tenant_id: UUID) -> list[BackupRecord]:
        """The backups of a tenant, the newest first. Raises ``BackupDamaged`` for a record that cannot be read."""
        found = [self._record(file) for file in self._files(tenant_id) if file.endswith(RECORD_SUFFIX)]
        return sorted(found, key=lambda record: (record.created_at, record.file), reverse=True)

    def check(self, record: BackupRecord) -> None:
        """Read a whole dump and compare it with its record. Raises ``BackupDamaged``."""
        for _ in self.checked(record):
            pass

    def checked(self, record: BackupRecord) -> Iterator[bytes]:
        """The content of a dump. Raises ``BackupDamaged``, at the latest at its end."""
        digest, size = hashlib.sha256(), 0
        try:
            for chunk in self.read(record.file):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        except FileNotFoundError as error:
            raise BackupDamaged(record.file, "the file is not there") from error
        if (size, digest.hexdigest()) != (record.size, record.sha256):
            raise BackupDamaged(record.file, "it is not what was written")

    def remove(self, record: BackupRecord) -> None:
        """Remove a backup. The record goes first: what is left of a removal that was killed is no backup."""
        for file in (record.path, record.file):
            with suppress(FileNotFoundError):
                self._filesystem.rm_file(self._path(file))

    def remove_directory(self, directory: str) -> None:
        """Remove a directory that is not a tenant's, and what is in it; nothing happens if it is not there."""
        with suppress(FileNotFoundError):
            self._filesystem.rm(self._path(directory), recursive=True)

    def remove_abandoned(self, tenant_id: UUID, now: datetime) -> list[str]:
        """Remove what killed backups have left, if it is older than a day; returns the paths."""
        files = self._files(tenant_id)
        recorded = {file.removesuffix(RECORD_SUFFIX) for file in files if file.endswith(RECORD_SUFFIX)}
        left = [file for file in files if not file.endswith(RECORD_SUFFIX) and file not in recorded]
        old = [file for file in left if _begun(file) < now - ABANDONED]
        for file in old:
            self._filesystem.rm_file(self._path(file))
        return old

    def _files(self, tenant_id: UUID) -> list[str]:
        directory = self._path(tenant_id.hex)
        if not self._filesystem.isdir(directory):
            return []
        self._filesystem.invalidate_cache(directory)
        return sorted(f"{tenant_id.hex}/{Path(found).name}" for found in self._filesystem.ls(directory, detail=False))

    def _record(self, file: str) -> BackupRecord:
        try:
            return BackupRecord.model_validate_json(b"".join(self.read(file)))
        except ValidationError as error:
            raise BackupDamaged(file, "its record cannot be read") from error

    def _path(self, file: str) -> str:
        return f"{self._root}/{file}"


def open_store(settings: Settings) -> Store:
    """The store of the settings. Raises ``BackupRefused`` if there is none, or if it cannot be used."""
    if settings.backups_store is None:
        raise BackupRefused("the setting backups.store does not say where backups are kept")
    try:
        return Store(*fsspec.core.url_to_fs(settings.backups_store))
    except (ImportError, ValueError) as error:
        raise BackupRefused(f"the setting backups.store cannot be used ({str(error).rstrip('.')})") from error


def _begun(file: str) -> datetime:
    stamp = Path(file).name.split("-", 1)[0]
    try:
        return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:
        # Not one of ours, whatever it is.
        return datetime.max.replace(tzinfo=UTC)
