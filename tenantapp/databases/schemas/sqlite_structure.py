"""The structure of a SQLite file, read from the statements it keeps.

SQLite keeps a table's ``CREATE TABLE`` as it was written, and edits the text when the table is altered. So two equal
tables can have different texts, if one of them was altered and the other was made at once. The texts are compared part
by part, without what has no meaning: spaces, comments, quotes around names, the case of words, the order of a column's
attributes, and whether a constraint is written with its column or after all of them.
https://www.sqlite.org/lang_createtable.html
"""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from sqlalchemy.engine import Connection

# The indexes that SQLite makes for constraints have no statement. The names of its own tables begin with sqlite_.
STATEMENT: Final = r"""
SELECT type, name, tbl_name, sql FROM sqlite_master
WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
"""
TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<string>[xX]?'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    |(?P<word>[^\W\d][\w$]*)
    |(?P<number>\d[\w.]*|\.\d\w*)
    |(?P<other>->>|->|\|\||<<|>>|<=|>=|<>|!=|==|.)
    """,
    re.VERBOSE | re.DOTALL,
)
PLAIN: Final = re.compile(r"[^\W\d][\w$]*")
TABLE_CONSTRAINTS: Final = frozenset({"constraint", "primary", "unique", "check", "foreign"})
# The words that begin an attribute of a column, after its type.
ATTRIBUTES: Final = frozenset(
    {"constraint", "primary", "not", "null", "unique", "check", "default", "collate", "references", "generated", "as"}
)
# Pairs of words whose second word does not begin an attribute.
BOUND: Final = frozenset({("not", "null"), ("default", "null"), ("set", "null"), ("set", "default"), ("always", "as")})
CLOSERS: Final = {"(": 1, ")": -1}

Tokens = list[str]


def read_sqlite(connection: Connection) -> Iterator[tuple[str, str, str]]:
    """Yield thing, part and definition of everything in the file."""
    for kind, name, table, sql in connection.exec_driver_sql(STATEMENT):
        if kind == "table" and not sql.upper().startswith("CREATE VIRTUAL"):
            for part, definition in table_parts(sql):
                yield f"table {name}", part, definition
        elif kind in ("index", "trigger"):
            yield f"table {table}", f"{kind} {name}", " ".join(tokens_of(sql))
        else:
            yield f"{kind} {name}", "", " ".join(tokens_of(sql))


def tokens_of(statement: str) -> Tokens:
    """Return the words of a statement, without spaces and comments.

    Names are unquoted and in lower case, unless they need their quotes. Strings stay as they are.
    """
    return [_normal(match) for match in TOKEN.finditer(statement) if match.lastgroup != "space"]


def table_parts(statement: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a ``CREATE TABLE``, each with its name and its definition.

    The part with an empty name has the options of the table itself.
    """
    tokens = tokens_of(statement)
    start = tokens.index("(")
    end = len(tokens) - tokens[::-1].index(")")
    yield "", " ".join(_spread(tokens[end:]))
    for clause in _split(tokens[start + 1 : end - 1]):
        yield from [_constraint(clause)] if clause[0] in TABLE_CONSTRAINTS else _column(clause)


def _normal(match: re.Match[str]) -> str:
    text = match.group()
    if match.lastgroup == "word":
        return text.lower()
    if match.lastgroup == "quoted":
        name = text[1:-1].replace(text[0] * 2, text[0])
        return name.lower() if PLAIN.fullmatch(name) else f'"{name}"'
    return text


def _spread(options: Tokens) -> Iterator[str]:
    """Yield the table options that follow the closing parenthesis, such as STRICT and WITHOUT ROWID, sorted."""
    yield from sorted(" ".join(words) for comma, words in groupby(options, ",".__eq__) if not comma)


def _split(tokens: Tokens) -> list[Tokens]:
    """Return the clauses between the commas that are not inside parentheses."""
    clauses: list[Tokens] = [[]]
    depth = 0
    for word in tokens:
        depth += CLOSERS.get(word, 0)
        if word == "," and depth == 0:
            clauses.append([])
        else:
            clauses[-1].append(word)
    return clauses


def _column(clause: Tokens) -> Iterator[tuple[str, str]]:
    name, *rest = clause
    kind, *attributes = _attributes(rest)
    own = []
    for attribute in attributes:
        constraint, words = _named(attribute)
        if words[0] in ("primary", "unique"):
            keys = 2 if words[0] == "primary" else 1
            yield _constraint([*constraint, *words[:keys], "(", name, ")", *words[keys:]])
        elif words[0] == "references":
            yield _constraint([*constraint, "foreign", "key", "(", name, ")", *words])
        elif words[0] == "check":
            yield _constraint(attribute)
        elif words[0] == "default":
            own.append(f"default {' '.join(_bare(words[1:]))}")
        elif words != ["null"]:
            own.append(" ".join(words))
    yield f"column {name}", " ".join([*(["".join(_spaced(kind))] if kind else []), *sorted(own)])


def _attributes(tokens: Tokens) -> list[Tokens]:
    """Return the type of a column (empty if it has none), then each of its attributes."""
    parts: list[Tokens] = [[]]
    depth = 0
    for before, token, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        if depth == 0 and _begins_attribute(parts[-1], before, token, after):
            parts.append([])
        parts[-1].append(token)
        depth += CLOSERS.get(token, 0)
    return parts


def _begins_attribute(current: Tokens, before: str, token: str, after: str) -> bool:
    if token not in ATTRIBUTES or (before, token) in BOUND or (token, after) == ("not", "deferrable"):
        return False
    # The name after CONSTRAINT, and the word after the name, begin no attribute.
    return not (current[:1] == ["constraint"] and len(current) < 3)


def _constraint(tokens: Tokens) -> tuple[str, str]:
    name, words = _named(tokens)
    definition = " ".join(words)
    # A constraint without a name is called by its definition.
    return f"constraint {name[1] if name else definition}", definition


def _named(tokens: Tokens) -> tuple[Tokens, Tokens]:
    return (tokens[:2], tokens[2:]) if tokens[0] == "constraint" else ([], tokens)


def _bare(tokens: Tokens) -> Tokens:
    """Return an expression without the parentheses around the whole of it."""
    while tokens[:1] == ["("] and _closes_at(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return tokens


def _closes_at(tokens: Tokens) -> int:
    depth = 0
    for position, token in enumerate(tokens):
        depth += CLOSERS.get(token, 0)
        if depth == 0:
            return position
    return -1


def _spaced(kind: Tokens) -> Iterator[str]:
    """Yield the words of a type with the usual spaces: varchar(200), double precision."""
    for position, word in enumerate(kind):
        spaced = position and word not in "()," and kind[position - 1] != "("
        yield f" {word}" if spaced else word
