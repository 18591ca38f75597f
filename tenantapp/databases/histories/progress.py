"""How far a run of migrations came on one database, and what to say if it fails.

A run is one transaction, or with ``migrations.transaction = revision`` one for each revision. A revision may also
commit by itself, with Alembic's ``autocommit_block``. So a run that fails may leave something.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg2.errors
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from tenantapp.databases.connections.maintenance_engines import is_busy
from tenantapp.databases.connections.migration_connections import check_foreign_keys
from tenantapp.databases.errors import DatabaseBusy, MigrationFailed, MigrationStopped
from tenantapp.databases.histories.concurrent_indexes import ConcurrentIndexes
from tenantapp.databases.histories.oldest_program import record_oldest_program
from tenantapp.databases.histories.targets import Target, Watch
from tenantapp.operations.outcomes import first_line
from tenantapp.sql.prepared import DRIVER_ERRORS

PER_REVISION: Final = "revision"
# What PostgreSQL refuses because of what the same transaction has done: to use a value that was added to an enum, or to
# alter a table whose rows were changed. https://www.postgresql.org/docs/current/sql-altertype.html
NEEDS_OWN_TRANSACTION: Final = (psycopg2.errors.UnsafeNewEnumValueUsage, psycopg2.errors.ObjectInUse)


class Progress:
    """The run of an Alembic command on a database, watched.

    ``context`` is configured for the connection. It gets the function that yields the revisions wrapped.
    """

    def __init__(
        self, target: Target, connection: Connection, context: MigrationContext, watch: Watch | None = None
    ) -> None:
        self._target, self._connection, self._context = target, connection, context
        self._effects = watch
        self._per_revision = target.settings.migrations_transaction == PER_REVISION
        self._found: set[str] = set()  # the revision at which the run began
        self._heads: set[str] | None = None  # after the last revision that was applied, if any was
        self._failing: str | None = None  # the revision under way
        self._commits_by_itself = False
        self._indexes: ConcurrentIndexes | None = None
        context._migrations_fn = self._watch(context._migrations_fn)
        context.on_version_apply_callbacks = (*context.on_version_apply_callbacks, self._applied)
        event.listen(connection, "set_connection_execution_options", self._note_options)

    @property
    def reached(self) -> str | None:
        """Return the revision of the database, after a run that ended well. Raises ``CommandError`` if it has two."""
        # Ask the database only if no revision was applied.
        return self._context.get_current_revision() if self._heads is None else _single(self._heads)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Record the revision that the database is at if the block fails, and raise an error that says what stayed.

        Raises ``MigrationStopped`` and ``DatabaseBusy``. Errors that the revision itself raises are left as they are.
        """
        try:
            yield
        except BaseException as error:
            if self._per_revision or self._commits_by_itself:
                self._look_what_stayed(error)
            else:
                self._say_that_it_needs_more_transactions(error)
            raise

    def check(self) -> None:
        """Check what has to be true before a commit. Raises ``MigrationFailed`` and ``CommandError``."""
        _single(self._heads or set())
        check_foreign_keys(self._connection, self._target.name)

    def _watch(self, original: Any) -> Callable[[Any, Any], Iterator[Any]]:
        def watched(found: Any, context: Any) -> Iterator[Any]:
            self._found = set(found)
            for step in original(found, context):
                if self._per_revision and self._heads is not None:
                    self._begin_again()
                self._failing = step.info.up_revision_id
                if self._effects is None:
                    yield step
                else:
                    self._effects.begin(str(self._failing), getattr(step.info.up_revision.module, "loses", ()))
                    yield step
                    self._effects.end()
            self._failing = None

        return watched

    def _applied(self, *, heads: set[str], step: Any, **_: object) -> None:
        self._heads = heads
        if self._target.history == "user" and step.is_migration and not step.is_stamp:
            record_oldest_program(self._target.settings, self._connection, step)
        if self._per_revision:
            self.check()

    def _begin_again(self) -> None:
        """Begin the next transaction. On SQLite, another process may have migrated the file between two of them."""
        if set(self._context.get_current_heads()) != self._heads:
            raise DatabaseBusy(self._target.name)

    def _note_options(self, connection: Connection, options: Any) -> None:
        if options.get("isolation_level") == "AUTOCOMMIT":
            self._commits_by_itself = True
            if self._indexes is None and connection.dialect.name == "postgresql":
                self._indexes = ConcurrentIndexes(connection)

    def _look_what_stayed(self, error: BaseException) -> None:
        try:
            self._connection.rollback()
            heads = set(self._context.get_current_heads())
            left = self._indexes.left() if self._indexes is not None else ""
        except DBAPIError:
            return  # the connection is broken, and the error says so
        at = next(iter(heads), None)
        if self._target.record is not None:
            self._target.record(at)
        if heads == self._found and not self._commits_by_itself:
            return
        where = " and left ".join(words for words in (at or "no revision", left) if words)
        original = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(error, DatabaseBusy) or is_busy(original):
            raise DatabaseBusy(self._target.name, at=where) from error
        if isinstance(original, (*DRIVER_ERRORS, CommandError, MigrationFailed)):
            reason = original.reason if isinstance(original, MigrationFailed) else first_line(original)
            raise MigrationStopped(self._target.name, reason, self._failing, where) from error

    def _say_that_it_needs_more_transactions(self, error: BaseException) -> None:
        original = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(original, NEEDS_OWN_TRANSACTION) and self._heads is not None:
            advice = f"{self._failing} needs a transaction of its own: set migrations.transaction = {PER_REVISION}"
            reason = f"{first_line(original)}; the revision {advice}"
            raise MigrationFailed(self._target.name, reason) from error


def _single(heads: set[str]) -> str | None:
    if len(heads) > 1:
        raise CommandError(f"The database would have more than one revision: {', '.join(sorted(heads))}.")
    return next(iter(heads), None)
