"""Say which field of the body violates a constraint of the database, by the constraint's name."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Table, UniqueConstraint, exists, inspect, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import RelationshipDirection, Session
from sqlalchemy.orm.exc import StaleDataError

from tenantapp.resources.declaration import Operation, Resource
from tenantapp.resources.errors import (
    AlreadyExists,
    EditConflict,
    IdTaken,
    InUse,
    InvalidField,
    InvalidReference,
    ResourceError,
)

RESTRICTING: Final = "NO ACTION"
RESTRICTED: Final = ("NO ACTION", "RESTRICT")
# What SQLite says of a constraint (https://www.sqlite.org/rescode.html#constraint).
_SQLITE_UNIQUE: Final = re.compile(r"UNIQUE constraint failed: (.+)")
_SQLITE_CHECK: Final = re.compile(r"CHECK constraint failed: (\w+)")
_SQLITE_NULL: Final = re.compile(r"NOT NULL constraint failed: \w+\.(\w+)")


@contextmanager
def explained(
    resource: Resource[Any], session: Session, operation: Operation, row: Any
) -> Iterator[Callable[[], None]]:
    """Turn a violated constraint of a block into an error that names the field. Yield the function that flushes.

    PostgreSQL names the constraint. SQLite does not name a foreign key. So there the references are looked for before
    the flush: the transaction has the only write lock, so nobody can change what was found.
    """
    looked_for = session.get_bind().dialect.name == "sqlite"

    def flush() -> None:
        if looked_for and operation == "delete":
            _check_unused(resource, session, row)
        elif looked_for:
            _check_references(resource, session, row)
        session.flush()

    try:
        yield flush
        session.flush()
    except StaleDataError:
        # The request is not retried: the change was meant for a version that no longer exists.
        raise EditConflict(resource.noun) from None
    except DataError as error:
        # PostgreSQL: a number out of range, a text that is no value of an enumeration, and the like.
        raise InvalidField(None, "A value cannot be stored in its column.") from error
    except IntegrityError as error:
        found = (
            _from_sqlite(resource, str(error.orig)) if looked_for else _from_postgres(resource, operation, error.orig)
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
    if code == "23505" and name in (own.primary_key.name, f"{own.name}_pkey"):  # PostgreSQL's own name for it
        return IdTaken(resource.noun, None)
    if code == "23505":
        return AlreadyExists(resource.noun, _field(resource, _columns_of_unique(own, name)))
    if code == "23503":
        return InvalidReference(_field(resource, _columns_of(own, name, ForeignKeyConstraint)))
    if code == "23514":
        return _failed_check(resource, own, name)
    if code == "23502":
        return InvalidField(_field(resource, [error.diag.column_name]), "A value is required.")
    return None


def _from_sqlite(resource: Resource[Any], message: str) -> ResourceError | None:
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
    return None


def _check_references(resource: Resource[Any], session: Session, row: Any) -> None:
    """Raise ``InvalidReference`` if a changed foreign key refers to a row that is missing."""
    own: Table = resource.mapper.local_table  # type: ignore[assignment]
    attributes = _attributes(resource)
    history = inspect(row).attrs
    for key in own.foreign_key_constraints:
        columns = [element.parent.key for element in key.elements]
        values = [getattr(row, attributes[column]) for column in columns]
        changed = any(history[attributes[column]].history.has_changes() for column in columns)
        if not changed or None in values:
            continue
        pairs = [(element.column, value) for element, value in zip(key.elements, values, strict=True)]
        if not _is_there(session, key.referred_table, pairs):
            raise InvalidReference(_field(resource, columns))


def _is_there(session: Session, table: Table, pairs: Sequence[tuple[Column[Any], Any]]) -> bool:
    """Return whether a table has a row with these values, or the session is about to add it."""
    for added in session.new:
        mapper = inspect(added).mapper
        if mapper.local_table is table and all(
            getattr(added, mapper.get_property_by_column(column).key) == value for column, value in pairs
        ):
            return True
    return bool(session.scalar(select(exists().where(*(column == value for column, value in pairs)))))


def _check_unused(resource: Resource[Any], session: Session, row: Any) -> None:
    """Raise ``InUse`` if rows refer to a row that is being deleted, unless the model takes care of them."""
    own: Table = resource.mapper.local_table  # type: ignore[assignment]
    cared_for = {
        relation.mapper.local_table
        for relation in resource.mapper.relationships
        if relation.direction is RelationshipDirection.ONETOMANY and not relation.viewonly
    }
    attributes = _attributes(resource)
    for table in own.metadata.sorted_tables:
        for key in table.foreign_key_constraints:
            if key.referred_table is not own or table in cared_for or (key.ondelete or RESTRICTING) not in RESTRICTED:
                continue
            wanted = [element.parent == getattr(row, attributes[element.column.key]) for element in key.elements]
            others = [] if table is not own else [own.c.id != row.id]
            if session.scalar(select(exists().where(*wanted, *others))):
                raise InUse(resource.noun, table.name)


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
