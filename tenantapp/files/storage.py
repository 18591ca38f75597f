"""The storage of files: a directory, or another place that fsspec reaches (``s3://bucket/prefix``, ``memory://``).

https://filesystem-spec.readthedocs.io/
"""

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

import fsspec
from fsspec.implementations.local import LocalFileSystem

from tenantapp.databases.servers.durable_files import sync
from tenantapp.files.errors import FilesOff, FilesUnavailable
from tenantapp.settings import Settings
from tenantapp.sql.times import utcnow

log = logging.getLogger(__name__)

PIECE: Final = 2**20  # bytes
# What fsspec holds of one file that is read or written. S3 takes no smaller parts.
BLOCK: Final = 5 * 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Written:
    """What was written under an id: its size in bytes, and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


class Storage:
    """The bytes of all files, in a directory for each tenant. Every method raises ``FilesUnavailable``."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    @property
    def directory(self) -> Path | None:
        """Return the directory on this machine that holds the storage, or None if the storage is elsewhere."""
        return Path(self._root) if isinstance(self._filesystem, LocalFileSystem) else None

    def write(self, tenant_id: UUID, file_id: UUID, pieces: Iterable[bytes]) -> Written:
        """Write a file. Afterwards it is on the disk; if that fails, or ``pieces`` raise, it is removed."""
        digest, size = hashlib.sha256(), 0
        with self._new(tenant_id, file_id) as stream:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                with _translated():
                    stream.write(piece)
        return Written(size, digest.hexdigest())

    def open(self, tenant_id: UUID, file_id: UUID) -> IO[bytes]:
        """Return a file's content, to be read from any position and closed."""
        with _translated():
            stream: IO[bytes] = self._filesystem.open(self._path(tenant_id, file_id), "rb", block_size=BLOCK)
        return stream

    def read(self, tenant_id: UUID, file_id: UUID) -> Iterator[bytes]:
        """Yield a file's content. Raises ``FileNotFoundError``, before the first piece."""
        path = self._path(tenant_id, file_id)
        with _translated():
            there = self._filesystem.exists(path)
        if not there:
            raise FileNotFoundError(path)
        with closing(self.open(tenant_id, file_id)) as stream:
            while piece := _piece_of(stream):
                yield piece

    def remove(self, tenant_id: UUID, file_id: UUID) -> None:
        """Remove a file. A missing one is no error."""
        with _translated(), suppress(FileNotFoundError):
            self._filesystem.rm_file(self._path(tenant_id, file_id))

    def remove_tenant(self, tenant_id: UUID) -> None:
        """Remove all files of a tenant. If there are none, that is no error."""
        with _translated(), suppress(FileNotFoundError):
            self._filesystem.rm(self._directory(tenant_id), recursive=True)

    def sizes(self, tenant_id: UUID) -> dict[UUID, int]:
        """Return the size of each file of a tenant, in bytes. What is not named by an id is not ours."""
        directory = self._directory(tenant_id)
        with _translated():
            self._filesystem.invalidate_cache(directory)
            try:
                entries = self._filesystem.ls(directory, detail=True)
            except FileNotFoundError:
                return {}
        return dict(_sizes(entries))

    def written_at(self, tenant_id: UUID, file_id: UUID) -> datetime:
        """Return when a file was written. A missing one has just been."""
        with _translated():
            try:
                moment: datetime = self._filesystem.modified(self._path(tenant_id, file_id))
            except FileNotFoundError:
                return utcnow()
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    @contextmanager
    def _new(self, tenant_id: UUID, file_id: UUID) -> Iterator[Any]:
        path = self._path(tenant_id, file_id)
        with _translated():
            self._filesystem.makedirs(self._directory(tenant_id), exist_ok=True)
            stream = self._filesystem.open(path, "wb", block_size=BLOCK)
        try:
            yield stream
            with _translated():
                stream.close()
                self._sync(path)
        except BaseException:
            with suppress(OSError):
                stream.close()
            with suppress(OSError):
                self._filesystem.rm_file(path)
            raise

    def _sync(self, path: str) -> None:
        """Write a file of this machine through to the disk. Elsewhere, the service of the storage does that."""
        if isinstance(self._filesystem, LocalFileSystem):
            sync(Path(path))
            sync(Path(path).parent)
            sync(Path(path).parent.parent)

    def _directory(self, tenant_id: UUID) -> str:
        return f"{self._root}/{tenant_id.hex}"

    def _path(self, tenant_id: UUID, file_id: UUID) -> str:
        return f"{self._root}/{tenant_id.hex}/{file_id.hex}"


def _sizes(entries: Iterable[dict[str, Any]]) -> Iterator[tuple[UUID, int]]:
    for entry in entries:
        name = str(entry["name"]).rpartition("/")[2]
        with suppress(ValueError):
            if UUID(hex=name).hex == name:
                yield UUID(hex=name), int(entry["size"])


def open_storage(settings: Settings) -> Storage:
    """Return the storage of the settings. Raises ``FilesOff`` if there is none, and ``FilesUnavailable``."""
    if settings.files_storage is None:
        raise FilesOff
    return _storage_at(settings.files_storage, os.getpid())


@lru_cache(8)
def _storage_at(url: str, process: int) -> Storage:
    """Return the storage at a URL. A process that was forked has one of its own."""
    try:
        return Storage(*fsspec.core.url_to_fs(url))
    except (ImportError, ValueError, OSError) as error:
        raise FilesUnavailable(f"the setting files.storage cannot be used ({str(error).rstrip('.')})") from error


def _piece_of(stream: IO[bytes]) -> bytes:
    with _translated():
        return stream.read(PIECE)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FilesUnavailable(error.strerror or str(error)) from error
