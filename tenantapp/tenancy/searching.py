"""Models whose rows can be searched by words.

    class Note(Searched, TenantBase):
        __search__ = ("title", "body")

The words of each row are in a table of their own beside the model's: ``notes_words``. So a database that lacks it still
takes rows, and what a migration does to the model's table concerns neither the words nor their index. The events of a
session write the words with the row.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    Connection,
    ForeignKey,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    Uuid,
    bindparam,
    column,
    delete,
    event,
    inspect,
    select,
    table,
)
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql import ColumnElement

from tenantapp.sql.full_text import create_statements, rebuild_statement, stored_words
from tenantapp.sql.upsert import insert_for
from tenantapp.sql.word_conditions import SearchText, words_match
from tenantapp.tenancy.known_tables import has_table, needs_table, writes_table

SEARCH: Final = "tenantapp_search"  # in the info of the metadata: the searched columns, by the name of their table
BATCH: Final = 500  # rows at once


class Searched:
    """Mixin of a model whose rows can be searched. ``__search__`` names the columns with the texts.

    The model has one primary key, a UUID called ``id``. Bulk statements write no words: call ``write_words`` for them.
    """

    __search__: ClassVar[Sequence[str]]


def words_name(name: str) -> str:
    """Return the name of the table of words of a table."""
    return f"{name}_words"


def make_words_table(model: type[DeclarativeBase]) -> None:
    """Add the table of words of a searched model to the model's metadata."""
    columns: Sequence[str] = model.__search__  # type: ignore[attr-defined]
    words = Table(
        words_name(model.__tablename__),
        model.metadata,
        # SQLite's index refers to rows by number, which VACUUM changes if it is not a column.
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("row_id", ForeignKey(f"{model.__tablename__}.id", ondelete="CASCADE"), nullable=False, unique=True),
        Column("words", Text, nullable=False),
        sqlite_autoincrement=True,  # so that no number is given twice, on either engine
    )
    model.metadata.info.setdefault(SEARCH, {})[model.__tablename__] = tuple(columns)
    event.listen(words, "after_create", _make_index)


def _make_index(words: Table, connection: Connection, **options: Any) -> None:
    for statement in create_statements(words.name, connection.dialect.name):
        connection.exec_driver_sql(statement)


def words_tables(metadata: MetaData) -> dict[str, Sequence[str]]:
    """Return the columns that are searched, by the name of the table that they are in."""
    found: dict[str, Sequence[str]] = metadata.info.get(SEARCH, {})
    return found


def words_of_model(model: type[Any]) -> Table:
    """Return the table of words of a searched model."""
    words: Table = model.metadata.tables[words_name(model.__tablename__)]
    return words


def matches(model: type[Any], query: "str | BindParameter[str]") -> ColumnElement[bool]:
    """Return the condition that a row has all words of a query; the last may be the beginning of one.

    ``query`` is what a person has typed, or a parameter of the statement. A query without words matches nothing; see
    ``sql.full_text.searched_words``.
    """
    condition: ColumnElement[bool] = model.__table__.c.id.in_(matching_rows(model, query))
    return condition


def matching_rows(model: type[Any], query: "str | BindParameter[str]") -> Select[Any]:
    """Return the SELECT of the ids of the rows that match a query, found by the index; see ``matches``."""
    words = words_of_model(model)
    if isinstance(query, str):
        given: BindParameter[Any] = bindparam(None, query, type_=SearchText())
    else:
        given = bindparam(query.key, type_=SearchText())
    return select(words.c.row_id).where(words_match(words.c.id, words.c.words, given))


def searching(session: Session, model: type[Any]) -> AbstractContextManager[None]:
    """Raise ``TenantMigrating`` if the database has no words of this searched model."""
    return needs_table(session, words_name(model.__tablename__))


def listen_on_sessions(sessions: type[Session]) -> None:
    """Write the words of searched rows that sessions of this class write."""
    event.listen(sessions, "after_flush", _write_words)


def _write_words(session: Session, flushing: Any) -> None:
    found = [row for row in session.new if isinstance(row, Searched)]
    found += [row for row in session.dirty if isinstance(row, Searched) and _has_new_texts(row, flushing)]
    if found:
        write_words(session, found)


def _has_new_texts(row: Any, flushing: Any) -> bool:
    state = inspect(row)
    return not flushing.is_deleted(state) and any(state.attrs[name].history.has_changes() for name in row.__search__)


def write_words(session: Session, rows: Sequence[Any]) -> None:
    """Write the words of these rows of searched models, as they are in the session."""
    by_model: dict[Any, list[Any]] = {}
    for row in rows:
        by_model.setdefault(type(row), []).append(row)
    for model, some in by_model.items():
        words = model.metadata.tables[words_name(model.__tablename__)]
        if has_table(session, words.name):
            values = [{"row_id": row.id, "words": stored_words(_texts(row, model.__search__))} for row in some]
            with writes_table(session, words.name):
                session.execute(_upsert(session.get_bind().dialect.name, words), values)


@lru_cache(100)
def _upsert(dialect: str, words: Table) -> Any:
    """Return the statement that writes words. To make it takes as long as to execute it."""
    insert = insert_for(dialect, words)
    changed = {"words": insert.excluded.words}
    return insert.on_conflict_do_update(index_elements=[words.c.row_id], set_=changed)


def _texts(row: Any, names: Sequence[str]) -> Iterator[str | None]:
    return (getattr(row, name) for name in names)


def fill_words(connection: Connection, name: str, columns: Sequence[str]) -> None:
    """Write the words of all rows of a table again, and its index without any trace of the former words."""
    words = table(words_name(name), column("row_id", Uuid()), column("words", Text()))
    rows = table(name, column("id", Uuid()), *(column(each, Text()) for each in columns))
    connection.execute(delete(words))
    last: UUID | None = None
    while batch := _after(connection, rows, last):
        values = [{"row_id": row.id, "words": stored_words(row[1:])} for row in batch]
        connection.execute(words.insert(), values)
        last = batch[-1].id
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(rebuild_statement(words.name))


def _after(connection: Connection, rows: Any, last: UUID | None) -> Sequence[Any]:
    wanted = select(*rows.c).order_by(rows.c.id).limit(BATCH)
    return connection.execute(wanted if last is None else wanted.where(rows.c.id > last)).all()
