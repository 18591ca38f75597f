"""Compare a text with a pattern in which ``*`` stands for any characters, alike on both engines.

SQLite's LIKE ignores the case of ASCII letters, and PostgreSQL's does not. So SQLite uses GLOB, which compares case.
"""

from typing import Any

from sqlalchemy import Boolean, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class FitsPattern(FunctionElement[bool]):
    """The condition that a text fits a pattern; see ``fits_pattern``."""

    type = Boolean()
    inherit_cache = True


def fits_pattern(text: ColumnElement[str] | Any, pattern: ColumnElement[str] | Any) -> FitsPattern:
    """Return the condition that a text fits a pattern. Case and accents count."""
    return FitsPattern(text, pattern)


@compiles(FitsPattern, "postgresql")
def _on_postgres(element: FitsPattern, compiler: Any, **options: Any) -> str:
    text, pattern = (compiler.process(clause, **options) for clause in element.clauses)
    # The driver reads a percent sign as the beginning of a parameter, so it is written by its number.
    escaped = f"replace(replace({pattern}, E'\\\\', E'\\\\\\\\'), chr(37), E'\\\\' || chr(37))"
    return f"({text} LIKE replace(replace({escaped}, '_', E'\\\\_'), '*', chr(37)))"


@compiles(FitsPattern, "sqlite")
def _on_sqlite(element: FitsPattern, compiler: Any, **options: Any) -> str:
    text, pattern = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({text} GLOB replace(replace({pattern}, '[', '[[]'), '?', '[?]'))"
