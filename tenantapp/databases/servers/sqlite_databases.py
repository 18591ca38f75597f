"""The databases of a SQLite server: files in a directory."""

import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import UUID

from tenantapp.databases.errors import ProvisioningFailed, TemplateMissing
from tenantapp.databases.servers.base import SCRATCH_PREFIX, TENANT_PREFIX, FoundDatabase, ServerDatabases
from tenantapp.databases.servers.durable_files import UNFINISHED, publish, remove_unfinished, sync, unfinished
from tenantapp.databases.servers.templates import PREFIX as TEMPLATE_PREFIX
from tenantapp.databases.servers.templates import Template
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.sql import commit_counts
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.servers import SqliteServer, sqlite_url

PREFIXES: Final = (TENANT_PREFIX, TEMPLATE_PREFIX, SCRATCH_PREFIX)
SUFFIXES: Final = ("-wal", "-shm", "-journal", commit_counts.SUFFIX)
ABANDONED_AFTER: Final = 3600.0  # seconds
MARK: Final = ".tenantapp"  # the file that says which installation's directory it is
LOCK_WAIT: Final = 60.0  # seconds
# Stands before the identity of a closed database, which then matches no tenant.
CLOSED: Final = "closed "
IDENTITY: Final = TenantIdentity.__tablename__
CLOSE: Final = f"UPDATE {IDENTITY} SET tenant_id = ?1 || tenant_id WHERE tenant_id NOT LIKE ?1 || '%'"  # noqa: S608
REOPEN: Final = f"UPDATE {IDENTITY} SET tenant_id = substr(tenant_id, length(?1) + 1) WHERE tenant_id LIKE ?1 || '%'"  # noqa: S608
IDENTIFY: Final = f"INSERT OR IGNORE INTO {IDENTITY} (tenant_id) VALUES (?)"  # noqa: S608


class SqliteDatabases(ServerDatabases):
    """Each database is a file in the server's directory. It is made under another name, and gets its own when ready."""

    def __init__(self, server: SqliteServer) -> None:
        self._server = server

    def create(self, database: str, mark: str = "") -> None:
        path = self._server.path(database)
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            if mark:
                _write_mark(path.with_name(MARK), mark)
            path.touch(exist_ok=False)

    def prepare(self, database: str, mark: str) -> None:
        path = self._server.path(database)
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_mark(path.with_name(MARK), mark)

    def drop(self, database: str) -> None:
        path = self._server.path(database)
        with self._translated():
            _remove(path)
            remove_unfinished(path)

    def ensure_template(self, template: Template) -> None:
        path = self._server.path(template.name)
        if path.exists():
            return
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_mark(path.with_name(MARK), template.mark)
            # Two processes that do this at once build the same template twice. The later file replaces the other.
            with unfinished(path) as new:
                template.build(sqlite_url(new, create=True))
                with closing(sqlite3.connect(new, isolation_level=None)) as connection:
                    # Everything has to be in the one file that is copied.
                    connection.execute("PRAGMA journal_mode = DELETE")
                sync(new)
                new.replace(path)
                sync(path.parent)
            self._remove_old(template)

    def drop_template(self, template: str) -> None:
        self.drop(template)

    def copy_template(self, template: str, database: str, tenant_id: UUID, mark: str) -> None:
        path = self._server.path(database)
        with self._translated():
            if path.exists():
                remove_unfinished(path)
                return
            source = self._server.path(template)
            if not source.exists():
                raise TemplateMissing(f"server {self._server.name}", template)
            with unfinished(path) as new:
                _copy_file(source, new)
                _identify(new, tenant_id)
                publish(new, path)
            remove_unfinished(path)

    @contextmanager
    def filled(self, database: str, mark: str) -> Iterator[Path]:
        """Yield a new file, and make it the database after the block. Refuse if the database exists by then."""
        path = self._server.path(database)
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_mark(path.with_name(MARK), mark)
            with unfinished(path) as new:
                yield new
                commit_counts.forget_count(new)
                if path.exists():
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
                publish(new, path)
            remove_unfinished(path)

    @checkpoint("file.close")
    def close(self, database: str, patience: float) -> None:
        time.sleep(patience)
        path = self._server.path(database)
        if not path.exists():
            return
        with self._translated():
            # This waits for the writer that has the lock. The next writer reads the identity first.
            _set_identity(path, CLOSE)
            # A new modification time keeps pooled connections from being used for reading.
            path.touch()

    def reopen(self, database: str) -> None:
        path = self._server.path(database)
        with self._translated():
            if path.exists():
                _set_identity(path, REOPEN)

    def exists(self, database: str) -> bool:
        return self._server.path(database).exists()

    def size(self, database: str) -> int | None:
        path = self._server.path(database)
        with self._translated():
            if not path.exists():
                return None
            files = [path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES)]
            return sum(_size(file) for file in files)

    def sizes(self, databases: Sequence[str]) -> dict[str, int]:
        sizes = ((database, self.size(database)) for database in databases)
        return {database: size for database, size in sizes if size is not None}

    def found(self) -> list[FoundDatabase]:
        directory = self._server.directory
        with self._translated():
            mark = _read_mark(directory / MARK)
            whole = {file.stem for file in directory.glob("*.sqlite") if file.name.startswith(PREFIXES)}
            # Other unfinished files belong to the operations that make them.
            begun = {file.name.split(".")[0] for file in directory.glob(f"{SCRATCH_PREFIX}*.sqlite*")}
        return [FoundDatabase(name, mark, whole=name in whole) for name in sorted(whole | begun)]

    def _remove_old(self, template: Template) -> None:
        directory = self._server.directory
        for file in directory.glob(f"{TEMPLATE_PREFIX}*.sqlite"):
            if template.is_old(file.stem):
                self.drop(file.stem)
        for file in directory.glob(f"{TEMPLATE_PREFIX}*{UNFINISHED}*"):
            # Another process may be building it right now.
            if file.stat().st_mtime < time.time() - ABANDONED_AFTER:
                file.unlink(missing_ok=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ProvisioningFailed(f"server {self._server.name}", f"{error.strerror}: {error.filename}") from error
        except sqlite3.Error as error:
            raise ProvisioningFailed(f"server {self._server.name}", str(error)) from error


@checkpoint("file.copy")
def _copy_file(source: Path, new: Path) -> None:
    shutil.copyfile(source, new)


@checkpoint("file.identify")
def _identify(path: Path, tenant_id: UUID) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Nobody else uses the file yet, and it is synced as a whole later.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(IDENTIFY, (tenant_id.hex,))
        connection.execute("PRAGMA journal_mode = WAL")


def _set_identity(path: Path, statement: str) -> None:
    """Change the identity under the write lock, and so after the transactions that hold it now."""
    address = f"{path.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=LOCK_WAIT, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(statement, (CLOSED,))
        connection.execute("COMMIT")


def _remove(path: Path) -> None:
    for file in (path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES)):
        file.unlink(missing_ok=True)


def _read_mark(file: Path) -> str | None:
    return file.read_text() if file.exists() else None


@checkpoint("file.mark_directory")
def _write_mark(file: Path, mark: str) -> None:
    with suppress(FileExistsError), file.open("x") as new:
        new.write(mark)


def _size(file: Path) -> int:
    """Return the size of a file, 0 if it is not there. SQLite removes the files beside a database at any time."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
