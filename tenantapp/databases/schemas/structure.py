"""The structure of a database as a plain value: read, compared, put into words."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from sqlalchemy.engine import Connection

from tenantapp.databases.schemas.postgres_structure import read_postgres
from tenantapp.databases.schemas.sqlite_structure import read_sqlite


@dataclass(frozen=True, order=True, slots=True)
class Part:
    """One thing that a structure has: ``table nodes`` itself (``part`` is empty), or its ``column title``.

    ``definition`` is all there is to say about it, in the engine's words.
    """

    thing: str
    part: str
    definition: str


@dataclass(frozen=True, slots=True)
class Structure:
    """Everything a database is made of, in a fixed order. Equal structures are equal values.

    The order of a table's columns is no part of it: a column that was added later stands at the end, one that was made
    with its table does not, and nothing that names its columns can tell. Neither are rows, privileges, comments and
    how things are stored.
    """

    parts: tuple[Part, ...]


def read_structure(connection: Connection) -> Structure:
    """Read the structure of a database, within the transaction of this connection."""
    rows = read_sqlite(connection) if connection.dialect.name == "sqlite" else read_postgres(connection)
    return structure_of(rows)


def structure_of(rows: Iterable[tuple[str, str, str]]) -> Structure:
    """The structure with these parts, in whatever order they come."""
    return Structure(tuple(sorted({Part(*row) for row in rows})))


def fingerprint(structure: Structure) -> str:
    """SHA-256 of a structure, in hexadecimal. Only structures of the same kind of database can be compared by it."""
    rows = [[part.thing, part.part, part.definition] for part in structure.parts]
    return hashlib.sha256(orjson.dumps(rows)).hexdigest()


def difference(expected: Structure, found: Structure) -> list[str]:
    """What is wrong with the found structure, a line each; nothing when they are equal.

    Of a table that is missing or that should not be there, the columns are not named as well.
    """
    should, have = _by_name(expected), _by_name(found)
    lines = []
    for key in sorted(should.keys() | have.keys()):
        thing, part = key
        whole = (thing, "")
        if part and not (whole in should and whole in have):
            continue
        name = f"{thing}: {part}" if part else thing
        if key not in have:
            lines.append(f"{name} is missing")
        elif key not in should:
            lines.append(f"{name} should not be there")
        elif should[key] != have[key]:
            lines.append(f"{name} differs: it should be ({should[key]}) and is ({have[key]})")
    return lines


def _by_name(structure: Structure) -> dict[tuple[str, str], str]:
    return {(part.thing, part.part): part.definition for part in structure.parts}
