"""Say which field of the body violates a constraint of the database, by the constraint's name."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Table, UniqueConstraint, exists, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from tenantapp.resources.declaration import Operation, Resource
from tenantapp.resources.errors import AlreadyExists, EditConflict, InUse, InvalidField, InvalidReference, ResourceError

# What SQLite says of a constraint (https://www.sqlite.org/rescode.html#constraint).
_SQLITE_UNIQUE: Final = re.compile(r"UNIQUE constraint failed: (.+)")
_SQLITE_CHECK: Final = re.compile(r"CHECK constraint failed: (\w+)")
_SQLITE_NULL: Final = re.compile(r"NOT NULL constraint failed: \w+\.(\w+)")


@contextmanager
def explained(
    resource: Resource[Any], session: Session, operation: Operation, row: Any
) -> Iterator[Callable[[], None]]:
    """Turn a violated constraint of a block into an error that names the field. Yield the function that flushes.

    PostgreSQL names the constraint. SQLite does not name a foreign key, so there the block is a savepoint: after it is
    undone, the rows that are referred to are looked for.
    """
    looked_for = session.get_bind().dialect.name == "sqlite"
    values: dict[str, Any] = {}

    def flush() -> None:
        # After a flush that fails, the row has its values no more.
        values.update({key: row.__dict__.get(attribute) for key, attribute in _attributes(resource).items()})
        session.flush()

    try:
        with session.begin_nested() if looked_for else nullcontext():
            yield flush
            flush()
    except StaleDataError:
        # The request is not retried: the change was meant for a version that no longer exists.
        raise EditConflict(resource.noun) from None
    except DataError as error:
        # PostgreSQL: a number out of range, a text that is no value of an enumeration, and the like.
        raise InvalidField(None, "A value cannot be stored in its column.") from error
    except IntegrityError as error:
        found = (
            _from_sqlite(resource, session, operation, str(error.orig), values)
            if looked_for
            else _from_postgres(resource, operation, error.orig)
        )
        if found is None:
            raise
        raise found from error


def _attributes(resource: Resource[Any]) -> dict[str, str]:
    """Return the attributes of the model, by the keys of their columns."""
    return {column.key: attribute for attribute, column in resource.mapper.columns.items()}


def _from_postgres(resource: Resource[Any], operation: Operation, error: Any) -> ResourceError | None:
    name, table, code = error.diag.constraint_name, error.diag.table_name, error.pgcode
    own: Table = resource.mapper.local_table  # type: ignore[assignment]
    if code == "23503" and operation == "delete":
        return InUse(resource.noun, str(table))
    if table != own.name:
        return None
    if code == "23505":
        return AlreadyExists(resource.noun, _field(resource, _columns_of_unique(own, name)))
    if code == "23503":
        return InvalidReference(_field(resource, _columns_of(own, name, ForeignKeyConstraint)))
    if code == "23514":
        return _failed_check(resource, own, name)
    if code == "23502":
        return InvalidField(_field(resource, [error.diag.column_name]), "A value is required.")
    return None


def _from_sqlite(
    resource: Resource[Any], session: Session, operation: Operation, message: str, values: dict[str, Any]
) -> ResourceError | None:
    own: Table = resource.mapper.local_table  # type: ignore[assignment]
    if found := _SQLITE_UNIQUE.search(message):
        columns = [each.rpartition(".") for each in found[1].split(", ")]
        if any(table not in ("", own.name) for table, _, _ in columns):
            return None
        named = [column for table, _, column in columns if table]
        return AlreadyExists(resource.noun, _field(resource, named))
    if found := _SQLITE_CHECK.search(message):
        return _failed_check(resource, own, found[1])
    if found := _SQLITE_NULL.search(message):
        return InvalidField(_field(resource, [found[1]]), "A value is required.")
    if "FOREIGN KEY" not in message:
        return None
    if operation == "delete":
        return InUse(resource.noun, _referring_table(session, own, values))
    return InvalidReference(_field(resource, _broken_reference(session, own, values)))


def _broken_reference(session: Session, own: Table, values: dict[str, Any]) -> list[str]:
    """Return the columns of the foreign key whose row is missing."""
    for key in own.foreign_key_constraints:
        wanted = [element.column == values.get(element.parent.key) for element in key.elements]
        given = all(values.get(element.parent.key) is not None for element in key.elements)
        if given and not session.scalar(select(exists().where(*wanted))):
            return [element.parent.key for element in key.elements]
    return []


def _referring_table(session: Session, own: Table, values: dict[str, Any]) -> str:
    """Return the name of a table with rows that refer to the row."""
    for table in own.metadata.sorted_tables:
        for key in table.foreign_key_constraints:
            if key.referred_table is not own or key.ondelete is not None:
                continue
            wanted = [element.parent == values.get(element.column.key) for element in key.elements]
            if session.scalar(select(exists().where(*wanted))):
                return table.name
    return "other rows"


def _columns_of_unique(table: Table, name: str) -> list[str]:
    for index in table.indexes:
        if index.unique and index.name == name:
            return [column.key for column in index.columns]
    return _columns_of(table, name, UniqueConstraint)


def _columns_of(table: Table, name: str, kind: type[Any]) -> list[str]:
    return [
        column.key
        for constraint in table.constraints
        if isinstance(constraint, kind) and constraint.name == name
        for column in constraint.columns
    ]


def _failed_check(resource: Resource[Any], table: Table, name: str) -> InvalidField:
    """Return the error of a check. It has a field if the check is about one column."""
    text = next((str(c.sqltext) for c in table.constraints if isinstance(c, CheckConstraint) and c.name == name), "")
    about = [column.key for column in table.columns if re.search(rf"\b{re.escape(column.name)}\b", text)]
    return InvalidField(_field(resource, about) if len(about) == 1 else None, f"The value violates the rule {name}.")


def _field(resource: Resource[Any], columns: Iterable[str | Column[Any]]) -> str | None:
    """Return the field of the body of the first of these columns that is one."""
    attributes = _attributes(resource)
    names = {attribute: name for name, attribute in resource.fields.items()}
    written = (names.get(attributes.get(str(column), "")) for column in columns)
    return next((name for name in written if name is not None), None)
