"""SELECT statements that are asked all the time: compiled once, sent alone, and planned once per connection.

They run in autocommit, so one costs a single round trip: no BEGIN before it, no ROLLBACK after it. Being a SELECT, it
writes nothing. Behind a PgBouncer nothing is prepared: the next statement may reach another of the server's processes.
"""

import logging
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final, Generic, TypeVar

import psycopg2
import psycopg2.errors
from sqlalchemy import Select
from sqlalchemy.engine import Dialect, Engine, make_url
from sqlalchemy.orm import Session

from tenantapp.sql.engines import UNPREPARED, raise_translated
from tenantapp.sql.failures import Cause, failure_of
from tenantapp.sql.postgres_connections import stand_alone, take_unchecked
from tenantapp.sql.sqlite_files import READ_ONLY
from tenantapp.sql.waits import was_ended

log = logging.getLogger(__name__)

DATABASE: Final = "tenantapp_database"  # where a session's ``info`` has its ``DBFactory``
DRIVER_ERRORS: Final = (sqlite3.Error, psycopg2.Error)
Processor = Callable[[Any], Any]
Row = TypeVar("Row", bound=tuple[Any, ...])


class LoneSelect(Generic[Row]):
    """A SELECT with named parameters that is sent alone.

    Its rows are tuples of ``row``, a named tuple of the statement's columns, which is made if none is given.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], row: type[Row] | None = None) -> None:
        self.statement = statement
        self._postgres = _Text(statement, _dialect("postgresql+psycopg2", paramstyle="format"))
        self._sqlite = _Text(statement, _dialect("sqlite+pysqlite", paramstyle="qmark"))
        made: Any = row or namedtuple("LoneRow", [str(column.key) for column in statement.selected_columns])
        # What the tuple's own _make does, without a Python call for each row.
        self._row: Callable[[Iterable[Any]], Row] = partial(tuple.__new__, made)

    def rows(self, session: Session, values: Mapping[str, Any]) -> Sequence[Row]:
        """The rows: alone if the session only reads and has not begun, else in its transaction."""
        database = session.info.get(DATABASE)
        if database is None or session.in_transaction() or not _only_reads(session):
            return [self._row(row) for row in session.execute(self.statement, dict(values))]
        rows: Sequence[Row] = database.fetch(self, values)
        return rows

    def fetch(self, engine: Engine, values: Mapping[str, Any]) -> list[Row]:
        """The rows, on a connection of this engine's pool. Raises what the engine makes of a failed database."""
        found = self._try(engine, values, again=True)
        return self._try(engine, values, again=False) or [] if found is None else found

    def _try(self, engine: Engine, values: Mapping[str, Any], *, again: bool) -> list[Row] | None:
        """The rows; or None if there is to be another try: the connection died, or the server gave the statement up."""
        connection = _connection(engine, unchecked=again)
        try:
            return self._fetch(connection, engine, values)
        except DRIVER_ERRORS as error:
            failure = failure_of(error)
            if failure is not None and failure.spoiled:
                connection.invalidate(error)
            lost = failure is not None and (failure.spoiled or failure.cause == Cause.CONFLICT)
            if again and lost and not was_ended():
                log.info("Reading once more, which does no harm: %s", failure)
                return None
            raise_translated(engine, error, reading=True)
        finally:
            connection.close()

    def _fetch(self, connection: Any, engine: Engine, values: Mapping[str, Any]) -> list[Row]:
        if engine.dialect.name == "postgresql":
            stand_alone(connection)
            with connection.dbapi_connection.cursor() as cursor:
                return self._execute(connection, cursor, engine, values)
        # sqlite3 keeps the statements of a connection prepared by itself.
        with closing(connection.dbapi_connection.execute(self._sqlite.sql, self._sqlite.bound(values))) as cursor:
            return self._sqlite.read(cursor.fetchall(), self._row)

    def _execute(self, connection: Any, cursor: Any, engine: Engine, values: Mapping[str, Any]) -> list[Row]:
        cursor.execute(self._postgres.sql, self._postgres.bound(values))
        return self._postgres.read(cursor.fetchall(), self._row)


class PreparedSelect(LoneSelect[Row]):
    """One that PostgreSQL plans once per connection, when it is sent on it again.

    ``types`` has PostgreSQL's type of each parameter.
    """

    def __init__(
        self, name: str, statement: Select[*tuple[Any, ...]], types: Mapping[str, str], row: type[Row] | None = None
    ) -> None:
        super().__init__(statement, row)
        self._prepared = _Text(statement, _dialect("postgresql+psycopg2", paramstyle="numeric_dollar"))
        self._name = name
        declared = _list(types[each] for each in self._prepared.parameters)
        self._prepare_sql = f"PREPARE {name}{declared} AS {self._prepared.sql}"
        self._execute_sql = f"EXECUTE {name}{_list('%s' for _ in self._prepared.parameters)}"

    def _execute(self, connection: Any, cursor: Any, engine: Engine, values: Mapping[str, Any]) -> list[Row]:
        if self._name not in connection.info or engine.get_execution_options()[UNPREPARED]:
            # For its first use it is not worth a round trip: where tenants are many, there may be no second one.
            connection.info[self._name] = False
            return super()._execute(connection, cursor, engine, values)
        parameters = self._prepared.bound(values)
        self._prepare_on(connection, cursor)
        try:
            cursor.execute(self._execute_sql, parameters)
        except psycopg2.errors.FeatureNotSupported:
            # A migration changed a column under the prepared statement; PostgreSQL executes it no more.
            cursor.execute(f"DEALLOCATE {self._name}")
            connection.info[self._name] = False
            self._prepare_on(connection, cursor)
            cursor.execute(self._execute_sql, parameters)
        return self._prepared.read(cursor.fetchall(), self._row)

    def _prepare_on(self, connection: Any, cursor: Any) -> None:
        # In a message of its own: a statement stays prepared though its first execution fails.
        if not connection.info[self._name]:
            cursor.execute(self._prepare_sql)
            connection.info[self._name] = True


class _Text:
    """A statement's text for one engine, and how values get in and out of it."""

    def __init__(self, statement: Select[*tuple[Any, ...]], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self.parameters: list[str] = list(compiled.positiontup or ())
        types = {name: compiled.binds[name].type.dialect_impl(dialect) for name in self.parameters}
        # A constant of the compiler's own, such as SQLite's OFFSET, is a parameter with a value.
        self._constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        self._in = [(name, types[name].bind_processor(dialect)) for name in self.parameters]
        columns = [column.type.dialect_impl(dialect) for column in statement.selected_columns]
        processors = [column.result_processor(dialect, None) for column in columns]
        self._out: list[tuple[int, Processor]] = [
            (index, process) for index, process in enumerate(processors) if process is not None
        ]

    def bound(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of the text's parameters."""
        known = self._constants | dict(values)
        return [process(known[name]) if process else known[name] for name, process in self._in]

    def read(self, rows: Sequence[Any], make: Callable[[Iterable[Any]], Row]) -> list[Row]:
        """The driver's rows with Python's values."""
        if not self._out:
            return list(map(make, rows))
        found = []
        for row in rows:
            values = list(row)
            for index, process in self._out:
                values[index] = process(values[index])
            found.append(make(values))
        return found


def _connection(engine: Engine, *, unchecked: bool) -> Any:
    """A connection of the engine's pool; an unchecked one may have died while it was idle."""
    try:
        return take_unchecked(engine) if unchecked else engine.raw_connection()
    except DRIVER_ERRORS as error:
        raise_translated(engine, error, connecting=True)


def _dialect(name: str, paramstyle: str) -> Dialect:
    # By its name: to import all dialects takes a command longer than its work.
    make: Callable[..., Dialect] = make_url(f"{name}://").get_dialect()
    return make(paramstyle=paramstyle)


def _list(words: Iterable[str]) -> str:
    """In parentheses, or nothing at all: PostgreSQL takes no empty ones."""
    joined = ", ".join(words)
    return f" ({joined})" if joined else ""


def _only_reads(session: Session) -> bool:
    bind = session.get_bind()
    return bool(bind.get_execution_options().get(READ_ONLY, False))
