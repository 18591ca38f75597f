"""Let an application work inside transactions that are rolled back: what a test does to the databases is undone."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session, SessionTransaction

from tenantapp.sql.prepared import LoneSelect, Row
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.testing.installation import Installation

Given = TypeVar("Given", bound=Installation)


class _OuterEngine:
    """Hand out the one connection of a test, and let nobody close it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        yield self._connection


class RolledBackDatabase(DBFactory):
    """A database whose every session works inside one outer transaction that is rolled back at the end.

    https://docs.sqlalchemy.org/en/21/orm/session_transaction.html#joining-a-session-into-an-external-transaction-such-as-for-test-suites
    """

    def __init__(self, real: DBFactory) -> None:
        super().__init__(
            lambda: real.engine,
            changes_kept=real.changes_kept,
            on_watched=real.on_watched,
            on_file_removed=real.on_file_removed,
            enqueue=real.enqueue,
        )
        self.real = real
        self.connection = real.engine.connect()
        self.outer = self.connection.begin()

    @property
    def engine(self) -> Any:
        return _OuterEngine(self.connection)

    def fetch(self, statement: LoneSelect[Row], values: Mapping[str, Any]) -> Sequence[Row]:
        rows: Any = self.connection.execute(statement.statement, dict(values)).all()
        return cast(Sequence[Row], rows)

    def get_session(self, *, read_only: bool = False) -> Session:
        session = self._session(self.connection, join_transaction_mode="create_savepoint")
        if read_only:
            event.listen(session, "after_begin", self._read_only)
            event.listen(session, "after_transaction_end", self._writable)
        return session

    def _read_only(self, *_: object) -> None:
        """Let the database refuse writes from now on, as it does in the read-only sessions of the real one."""
        of_sqlite = self.connection.dialect.name == "sqlite"
        # PostgreSQL: until the end of the savepoint.
        self.connection.exec_driver_sql("PRAGMA query_only = ON" if of_sqlite else "SET TRANSACTION READ ONLY")

    def _writable(self, session: Session, transaction: SessionTransaction) -> None:
        ended = transaction.parent is None and not self.connection.invalidated
        if ended and self.connection.dialect.name == "sqlite":
            self.connection.exec_driver_sql("PRAGMA query_only = OFF")

    def checkedout(self) -> int:
        return 0

    def dispose(self) -> None:
        self.outer.rollback()
        self.connection.close()


class RolledBackTenants(TenantDatabases):
    """The databases of the tenants, each inside a transaction that is rolled back at the end."""

    def _make(self, place: TenantPlace) -> DBFactory:
        return RolledBackDatabase(super()._make(place))

    def dispose(self) -> None:
        for entry in self._entries.values():
            entry.factory.dispose()
            entry.factory.real.dispose()  # type: ignore[attr-defined]


@contextmanager
def rolled_back(installation: Given, *, recording: bool = True) -> Iterator[Given]:
    """Let the application work inside transactions that are rolled back at the end.

    Without ``recording``, neither changes nor words to search by are written.

    Operations on the fleet, such as making a tenant, have connections of their own and commit.
    """
    registry = installation.registry
    user_db, tenant_dbs, reading = registry.user_db, registry.tenant_dbs, registry.access_reader.database
    registry.user_db = registry.access_reader.database = RolledBackDatabase(user_db)
    kept = timedelta(days=registry.app_settings.changes_keep) if recording else None
    registry.tenant_dbs = RolledBackTenants(registry.servers, tenant_dbs.engines, changes_kept=kept)
    registry.tenant_dbs.on_watched = tenant_dbs.on_watched
    registry.tenant_dbs.on_file_removed = tenant_dbs.on_file_removed
    registry.tenant_dbs.enqueue = tenant_dbs.enqueue
    try:
        yield installation
    finally:
        registry.tenant_dbs.dispose()
        registry.user_db.dispose()
        registry.user_db, registry.tenant_dbs, registry.access_reader.database = user_db, tenant_dbs, reading
