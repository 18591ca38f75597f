"""Execute frequent SELECT statements fast: compiled once, sent alone, and planned once per connection.

They run in autocommit mode, so each takes a single round trip, without BEGIN and ROLLBACK. Behind a PgBouncer they are
not prepared, because the next statement may reach another process of the server.
"""

import logging
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary

import psycopg2
import psycopg2.errors
from sqlalchemy import Float, Numeric, Select
from sqlalchemy.engine import Connection, Dialect, Engine, make_url
from sqlalchemy.exc import NotSupportedError
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeEngine

from tenantapp.sql.engines import UNPREPARED, raise_translated
from tenantapp.sql.errors import TransactionConflict
from tenantapp.sql.failures import Cause, failure_of
from tenantapp.sql.postgres_connections import stand_alone, take_unchecked
from tenantapp.sql.sqlite_files import READ_ONLY
from tenantapp.sql.waits import was_ended

log = logging.getLogger(__name__)

DATABASE: Final = "tenantapp_database"  # the key of the ``DBFactory`` in a session's ``info``
DRIVER_ERRORS: Final = (sqlite3.Error, psycopg2.Error)
FLOAT8: Final = 701  # oid in pg_type
NUMERIC: Final = 1700
Processor = Callable[[Any], Any]
Row = TypeVar("Row", bound=tuple[Any, ...])


class LoneSelect(Generic[Row]):
    """A SELECT with named parameters that is sent alone, without a transaction.

    Its rows are instances of ``row``, a named tuple of the statement's columns. Without ``row``, the class is made.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], row: type[Row] | None = None) -> None:
        self.statement = statement
        self._postgres, self._sqlite = compiled_for(statement, "postgresql"), compiled_for(statement, "sqlite")
        made: Any = row or namedtuple("LoneRow", [str(column.key) for column in statement.selected_columns])
        # The same as the named tuple's own _make, but without a Python call for each row.
        self._row: Callable[[Iterable[Any]], Row] = partial(tuple.__new__, made)

    def rows(self, session: Session, values: Mapping[str, Any]) -> Sequence[Row]:
        """Return the rows. The statement is sent alone if the session is read-only and has no transaction yet.

        Otherwise it is executed in the session's transaction.
        """
        database = session.info.get(DATABASE)
        if database is None or session.in_transaction() or not _only_reads(session):
            return self._within(session.connection(), values)
        rows: Sequence[Row] = database.fetch(self, values)
        return rows

    def _within(self, connection: Connection, values: Mapping[str, Any]) -> list[Row]:
        text = self._postgres if connection.dialect.name == "postgresql" else self._sqlite
        return text.read(text.execute(connection, values), self._row)

    def fetch(self, engine: Engine, values: Mapping[str, Any]) -> list[Row]:
        """Return the rows, on a connection of this engine's pool. Raises the engine's exception if the database fails.

        If the connection has ended, or the server has cancelled the statement for another transaction, the statement is
        sent once more.
        """
        found = self._try(engine, values, again=True)
        return self._try(engine, values, again=False) or [] if found is None else found

    def _try(self, engine: Engine, values: Mapping[str, Any], *, again: bool) -> list[Row] | None:
        """Return the rows, or None to try again because the connection has ended or the statement was cancelled."""
        connection = _connection(engine, unchecked=again)
        try:
            return self._fetch(connection, engine, values)
        except DRIVER_ERRORS as error:
            failure = failure_of(error)
            if failure is not None and failure.spoiled:
                connection.invalidate(error)
            lost = failure is not None and (failure.spoiled or failure.cause == Cause.CONFLICT)
            if again and lost and not was_ended():
                log.info("Reading once more after a failure: %s", failure)
                return None
            raise_translated(engine, error, reading=True)
        finally:
            connection.close()

    def _fetch(self, connection: Any, engine: Engine, values: Mapping[str, Any]) -> list[Row]:
        if engine.dialect.name == "postgresql":
            stand_alone(connection)
            with connection.dbapi_connection.cursor() as cursor:
                return self._execute(connection, cursor, engine, values)
        # sqlite3 itself keeps the statements of a connection prepared.
        with closing(connection.dbapi_connection.execute(self._sqlite.sql, self._sqlite.bound(values))) as cursor:
            return self._sqlite.read(cursor.fetchall(), self._row)

    def _execute(self, connection: Any, cursor: Any, engine: Engine, values: Mapping[str, Any]) -> list[Row]:
        cursor.execute(self._postgres.sql, self._postgres.bound(values))
        return self._postgres.read(cursor.fetchall(), self._row)


class PreparedSelect(LoneSelect[Row]):
    """A ``LoneSelect`` that PostgreSQL plans once per connection. It is prepared at its second use on the connection.

    ``name`` is the name of the prepared statement. ``types`` maps parameters to their PostgreSQL types, where these are
    not those of SQLAlchemy.
    """

    def __init__(
        self, name: str, statement: Select[*tuple[Any, ...]], types: Mapping[str, str], row: type[Row] | None = None
    ) -> None:
        super().__init__(statement, row)
        self._prepared = CompiledText(statement, _dialect("postgresql+psycopg2", paramstyle="numeric_dollar"))
        self._name = name
        declared = _list(types.get(each) or self._prepared.type_of(each) for each in self._prepared.parameters)
        self._prepare_sql = f"PREPARE {name}{declared} AS {self._prepared.sql}"
        self._execute_sql = f"EXECUTE {name}{_list('%s' for _ in self._prepared.parameters)}"
        _prepared_selects[self._execute_sql] = self

    @property
    def sent(self) -> str:
        """Return the SELECT as PostgreSQL gets it where it is not prepared."""
        return self._postgres.sql

    def _execute(self, connection: Any, cursor: Any, engine: Engine, values: Mapping[str, Any]) -> list[Row]:
        if engine.get_execution_options()[UNPREPARED]:
            return super()._execute(connection, cursor, engine, values)
        if self._name not in connection.info:
            # PREPARE costs a round trip, so the first use skips it: with many tenants there may be no second use.
            connection.info[self._name] = False
            return super()._execute(connection, cursor, engine, values)
        parameters = self._prepared.bound(values)
        self._prepare_on(connection, cursor)
        try:
            cursor.execute(self._execute_sql, parameters)
        except psycopg2.errors.FeatureNotSupported:
            # A migration has changed a column, so PostgreSQL refuses the prepared statement.
            cursor.execute(f"DEALLOCATE {self._name}")
            connection.info[self._name] = False
            self._prepare_on(connection, cursor)
            cursor.execute(self._execute_sql, parameters)
        return self._prepared.read(cursor.fetchall(), self._row)

    def _within(self, connection: Connection, values: Mapping[str, Any]) -> list[Row]:
        if connection.dialect.name != "postgresql" or connection.get_execution_options()[UNPREPARED]:
            return super()._within(connection, values)
        if self._name not in connection.info:
            connection.info[self._name] = False
            return super()._within(connection, values)
        try:
            if not connection.info[self._name]:
                connection.exec_driver_sql(self._prepare_sql, execution_options={"no_parameters": True})
                connection.info[self._name] = True
            found = connection.exec_driver_sql(self._execute_sql, tuple(self._prepared.bound(values)))
        except NotSupportedError as error:
            # A migration has changed a column, so PostgreSQL refuses the prepared statement, and has ended the
            # transaction. It can be tried again, on another connection.
            connection.invalidate(error)
            raise TransactionConflict from error
        return self._prepared.read(found.fetchall(), self._row)

    def _prepare_on(self, connection: Any, cursor: Any) -> None:
        # PREPARE is sent separately, because the statement stays prepared even if its first execution fails.
        if not connection.info[self._name]:
            cursor.execute(self._prepare_sql)
            connection.info[self._name] = True


_prepared_selects: Final[WeakValueDictionary[str, PreparedSelect[Any]]] = WeakValueDictionary()


def prepared_text(statement: str) -> str:
    """Return the SELECT that an EXECUTE of a prepared one stands for. Return any other statement as it is."""
    if not statement.startswith("EXECUTE ") or (prepared := _prepared_selects.get(statement)) is None:
        return statement
    return prepared.sent


class CompiledText:
    """A statement's text for one engine, and the conversion of its parameters and columns."""

    def __init__(
        self, statement: Select[*tuple[Any, ...]] | ReturningInsert[*tuple[Any, ...]], dialect: Dialect
    ) -> None:
        compiled = statement.compile(dialect=dialect)
        # The constants of a list, such as those of IN, become one parameter each.
        given = compiled.construct_expanded_state(
            dict.fromkeys(n for n, bind in compiled.binds.items() if bind.required)
        )
        self.sql = given.statement
        self.parameters: list[str] = list(given.positiontup or ())
        listed = {name for names in given.parameter_expansion.values() for name in names}
        binds = {name: compiled.binds[name] for name in self.parameters if name not in listed}
        self._dialect = dialect
        self._types = {name: bind.type.dialect_impl(dialect) for name, bind in binds.items()}
        # A constant that the compiler adds, such as SQLite's OFFSET, is a parameter with a value.
        self._constants = {n: given.parameters[n] for n in self.parameters if n in listed or not binds[n].required}
        processors: dict[str, Any] = {name: type_.bind_processor(dialect) for name, type_ in self._types.items()}
        processors |= given.processors
        self._in = [(name, processors.get(name)) for name in self.parameters]
        columns = [column.type.dialect_impl(dialect) for column in statement.exported_columns]
        readers = [column.result_processor(dialect, _code(column)) for column in columns]
        self._out: list[tuple[int, Processor]] = [
            (index, process) for index, process in enumerate(readers) if process is not None
        ]

    def type_of(self, name: str) -> str:
        """Return PostgreSQL's type of a parameter. What is listed is compared with a column, whose type it has."""
        return self._types[name].compile(self._dialect) if name in self._types else "unknown"

    def bound(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the values in the order of the text's parameters."""
        known = self._constants | dict(values)
        return [process(known[name]) if process else known[name] for name, process in self._in]

    def execute(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        """Return the driver's rows. Raises what SQLAlchemy raises."""
        return connection.exec_driver_sql(self.sql, tuple(self.bound(values))).fetchall()

    def read(self, rows: Sequence[Any], make: Callable[[Iterable[Any]], Row]) -> list[Row]:
        """Return the driver's rows with Python values."""
        if not self._out:
            return list(map(make, rows))
        found = []
        for row in rows:
            values = list(row)
            for index, process in self._out:
                values[index] = process(values[index])
            found.append(make(values))
        return found


def compiled_for(statement: Select[*tuple[Any, ...]] | ReturningInsert[*tuple[Any, ...]], engine: str) -> CompiledText:
    """Return a statement as the driver of this engine, ``postgresql`` or ``sqlite``, gets it."""
    name, paramstyle = ("postgresql+psycopg2", "format") if engine == "postgresql" else ("sqlite+pysqlite", "qmark")
    return CompiledText(statement, _dialect(name, paramstyle=paramstyle))


def postgres_text(statement: Select[*tuple[Any, ...]]) -> str:
    """Return the text of a statement as PostgreSQL gets it to prepare."""
    return CompiledText(statement, _dialect("postgresql+psycopg2", paramstyle="numeric_dollar")).sql


def _code(type_: TypeEngine[Any]) -> int | None:
    """Return PostgreSQL's number of a type, which psycopg2's numbers are read by, or None for other types."""
    return FLOAT8 if isinstance(type_, Float) else NUMERIC if isinstance(type_, Numeric) else None


def _connection(engine: Engine, *, unchecked: bool) -> Any:
    """Return a connection of the engine's pool. An unchecked connection may have ended while it was idle."""
    try:
        return take_unchecked(engine) if unchecked else engine.raw_connection()
    except DRIVER_ERRORS as error:
        raise_translated(engine, error, connecting=True)


def _dialect(name: str, paramstyle: str) -> Dialect:
    # By name, because importing all dialects takes longer than most commands.
    make: Callable[..., Dialect] = make_url(f"{name}://").get_dialect()
    return make(paramstyle=paramstyle)


def _list(words: Iterable[str]) -> str:
    """Return a list in parentheses, or an empty text: PostgreSQL refuses empty parentheses."""
    joined = ", ".join(words)
    return f" ({joined})" if joined else ""


def _only_reads(session: Session) -> bool:
    bind = session.get_bind()
    return bool(bind.get_execution_options().get(READ_ONLY, False))
