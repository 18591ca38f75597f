"""The conditions of a search by words, and the number of rows that it finds, for both engines."""

from typing import Any

from sqlalchemy import Boolean, ColumnElement, Integer, Table, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from tenantapp.sql.full_text import NO_MATCH, NoWords, fts_name, searched_words, vector


class SearchText(TypeDecorator[str]):
    """The type of a query in a statement. The engine gets its words: rows have all of them, the last as a beginning."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str:
        try:
            *words, last = searched_words(value or "")
        except NoWords:
            return NO_MATCH[dialect.name]
        if dialect.name == "postgresql":
            return " & ".join([*words, f"{last}:*"])
        return " ".join([*(f'"{word}"' for word in words), f'"{last}" *'])


class words_match(FunctionElement[bool]):
    """The condition that a row of a table of words has those of a query: ``words_match(id, words, query)``."""

    name = "words_match"
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        """Return this condition. SQLAlchemy would write ``= 1`` after it, and SQLite would then look at every row."""
        return self


@compiles(words_match, "postgresql")
def _match_on_postgres(element: Any, compiler: Any, **options: Any) -> str:
    _, words, query = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({vector(words)} @@ CAST({query} AS tsquery))"


@compiles(words_match, "sqlite")
def _match_on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    key, _, query = element.clauses
    index = compiler.preparer.quote(fts_name(key.table.name))
    asked = f"SELECT rowid FROM {index} WHERE {index} MATCH {compiler.process(query, **options)}"  # noqa: S608
    return f"({compiler.process(key, **options)} IN ({asked}))"


class holds_word(FunctionElement[bool]):
    """The condition that the words of a row hold a piece: ``holds_word(words, piece)``. See ``pieces``.

    It means the same as ``words_match``, and needs no index: for rows that are read anyway.
    """

    name = "holds_word"
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        """Return this condition. SQLAlchemy would write ``= 1`` after it."""
        return self


@compiles(holds_word)
def _holds_word(element: Any, compiler: Any, **options: Any) -> str:
    words, piece = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(instr(' ' || {words} || ' ', {piece}) > 0)"


@compiles(holds_word, "postgresql")
def _holds_word_on_postgres(element: Any, compiler: Any, **options: Any) -> str:
    words, piece = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(strpos(' ' || {words} || ' ', CAST({piece} AS text)) > 0)"


def pieces(query: str) -> list[str]:
    """Return what the words of a row hold if they match a query: whole words, and last perhaps a beginning."""
    try:
        *words, last = searched_words(query)
    except NoWords:
        return []
    return [*(f" {word} " for word in words), f" {last}"]


class matches_counted(FunctionElement[int]):
    """How many rows of a table of words match a query, but at most this number."""

    name = "matches_counted"
    type = Integer()
    inherit_cache = False

    def __init__(self, words: Table, query: ColumnElement[str], most: int) -> None:
        super().__init__(query)
        self.words, self.most = words, most


@compiles(matches_counted, "postgresql")
def _count_on_postgres(element: Any, compiler: Any, **options: Any) -> str:
    [query] = (compiler.process(clause, **options) for clause in element.clauses)
    table = compiler.preparer.format_table(element.words)
    # The index is planned to find all matches. To find a few, PostgreSQL might read the table instead.
    found = f"SELECT 1 FROM {table} WHERE {vector('words')} @@ CAST({query} AS tsquery)"  # noqa: S608
    bounded = f"SELECT 1 FROM found LIMIT {element.most}"  # noqa: S608
    return f"(WITH found AS MATERIALIZED ({found}) SELECT count(*) FROM ({bounded}) AS bounded)"  # noqa: S608


@compiles(matches_counted, "sqlite")
def _count_on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    [query] = (compiler.process(clause, **options) for clause in element.clauses)
    index = compiler.preparer.quote(fts_name(element.words.name))
    some = f"SELECT 1 FROM {index} WHERE {index} MATCH {query} LIMIT {element.most}"  # noqa: S608
    return f"(SELECT count(*) FROM ({some}))"  # noqa: S608
