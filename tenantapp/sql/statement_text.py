"""The text of a statement without values, so that operators may see it.

SQLAlchemy sends values beside the text. A text that was written by hand may have some in it: they are removed here, as
pg_stat_statements does (https://www.postgresql.org/docs/current/pgstatstatements.html). So nothing of what a tenant
keeps gets into the text, and statements that differ in their values only have one text.
"""

import re
from functools import lru_cache
from typing import Final

from tenantapp.sql.prepared import prepared_text

LONGEST: Final = 1000  # characters of a text
READ: Final = 4000  # characters of a statement that are read; an INSERT of many rows may have millions
KNOWN: Final = 1000  # statements whose text is remembered
OTHER: Final = "(other statements)"
_TOKEN: Final = re.compile(
    r"""
    (?P<name>"(?:[^"]|"")*")
    |(?P<space>(?:\s|--[^\n]*|/\*.*?(?:\*/|\Z))+)
    |(?<![\w$])[eE]'(?:\\.|''|[^'\\])*(?:'|\Z)        # a string with escapes; the end of the text ends it as well
    |'(?:''|[^'])*(?:'|\Z)
    |\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
    |%\(\w+\)s|%s|\$\d+                     # where the drivers put values
    |(?<![\w.$])\.?[0-9][\w.]*
    """,
    re.VERBOSE | re.DOTALL,
)
_LIST: Final = re.compile(r"\?(?:::[\w\[\]]+)?(?:, ?\?(?:::[\w\[\]]+)?)+")
_ROWS: Final = re.compile(r"(\((?:\?|[^()]*\.\.\.)\))(?:, ?\((?:\?|[^()]*\.\.\.)\))+")
_SAVEPOINT: Final = re.compile(r"\bsa_savepoint_\d+")


def statement_text(statement: object) -> str:
    """Return the text of a statement that the driver was given, of at most ``LONGEST`` characters.

    Each value is a question mark, several in a list are ``?, ...``, and of many rows one is left. What is not a plain
    text may have values anywhere, so it is one of the ``OTHER``.
    """
    return _text(statement[:READ]) if isinstance(statement, str) else OTHER


@lru_cache(KNOWN)
def _text(statement: str) -> str:
    text = _TOKEN.sub(_replaced, prepared_text(statement))
    text = _ROWS.sub(r"\1, ...", _LIST.sub("?, ...", text))
    text = _SAVEPOINT.sub("sa_savepoint", text).strip()
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _replaced(token: re.Match[str]) -> str:
    if token["name"] is not None:
        return token["name"]
    return "?" if token["space"] is None else " "
