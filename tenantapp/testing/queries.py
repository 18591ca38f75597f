"""Record the statements that reach databases."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.testing.installation import Installation
from tenantapp.testing.rolling_back import RolledBackDatabase


class StatementRecorder:
    """Counts the statements that reach these databases; the beginning of a transaction is not one.

    ``with StatementRecorder(...) as queries``: then ``len(queries)``, and ``queries.statements``, a list of SQL.
    """

    CONTROL = ("BEGIN", "PRAGMA query_only", "SET TRANSACTION READ ONLY", "SAVEPOINT", "RELEASE", "ROLLBACK", "PREPARE")

    def __init__(self, *factories: DBFactory) -> None:
        self.statements: list[str] = []
        self._engines: list[Engine] = [factory.engine for factory in factories]

    def __enter__(self) -> "StatementRecorder":
        for engine in self._engines:
            event.listen(engine, "before_cursor_execute", self._record)
        return self

    def __exit__(self, *exc: object) -> None:
        for engine in self._engines:
            event.remove(engine, "before_cursor_execute", self._record)

    def _record(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if not statement.startswith(self.CONTROL):
            self.statements.append(statement)

    def __len__(self) -> int:
        return len(self.statements)

    def __repr__(self) -> str:
        return "\n".join([f"{len(self)} statements", *self.statements])


def recorder_of(installation: Installation) -> StatementRecorder:
    """Return a recorder of the statements on the user database, and on those of the tenants.

    Raises ``RuntimeError`` if the installation is not rolled back: then some statements are sent by the driver alone.
    """
    registry = installation.registry
    if not isinstance(registry.user_db, RolledBackDatabase):
        raise RuntimeError("statements are recorded only in tests that roll back: remove the mark real_commits")
    tenants = [registry.tenant_dbs.for_access(installation.local_access(slug)) for slug in installation.tenants]
    return StatementRecorder(*(database.real for database in (registry.user_db, *tenants)))
