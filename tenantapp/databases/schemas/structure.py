"""The structure of a database as a plain value: reading it, comparing it, and describing differences."""

import hashlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Final

import orjson
from sqlalchemy.engine import Connection

from tenantapp.databases.privileges.statements import policies_in
from tenantapp.databases.schemas.postgres_structure import PRIVILEGES, read_postgres
from tenantapp.databases.schemas.sqlite_structure import read_sqlite

NAMED: Final = 3  # findings that a sentence has room for
USUAL: Final = "as PostgreSQL makes them"


@dataclass(frozen=True, order=True, slots=True)
class Part:
    """One part of a structure, such as ``column title`` of ``table nodes``. An empty ``part`` is the thing itself.

    ``definition`` describes it completely, in the engine's words.
    """

    thing: str
    part: str
    definition: str


@dataclass(frozen=True, slots=True)
class Structure:
    """All parts of a database, in a fixed order. Equal values are equal structures.

    PostgreSQL may print one expression in two ways, so that equal structures have different definitions.
    ``tenantapp.fleet.backups.restored_forms`` compares them.

    It leaves out the order of a table's columns. A column that was added later comes last, a column that was made with
    the table does not, and statements that name their columns see no difference. It also leaves out rows, comments and
    how things are stored. Privileges and settings are parts of their own: a dump does not carry them.
    """

    parts: tuple[Part, ...]

    @property
    def privileges(self) -> dict[str, str]:
        """Return the privileges and settings that PostgreSQL does not give by itself, by the name of the thing."""
        return {part.thing: part.definition for part in self.parts if part.part == PRIVILEGES}

    @property
    def definitions(self) -> "Structure":
        """Return the structure without privileges, settings, other owners and the roles of policies."""
        return Structure(tuple(part for part in self.parts if part.part != PRIVILEGES and part.part[:6] != "owner "))

    @property
    def dumped(self) -> "Structure":
        """Return the structure as a dump has it: the definitions, and the roles of policies."""
        policies = [(thing, PRIVILEGES, policies_in(thing, words)) for thing, words in self.privileges.items()]
        return structure_of([*map(astuple, self.definitions.parts), *(part for part in policies if part[2])])


def read_structure(connection: Connection) -> Structure:
    """Read the structure of a database, within the transaction of this connection."""
    rows = read_sqlite(connection) if connection.dialect.name == "sqlite" else read_postgres(connection)
    return structure_of(rows)


def structure_of(rows: Iterable[tuple[str, str, str]]) -> Structure:
    """Return the structure with these parts, which may come in any order."""
    return Structure(tuple(sorted({Part(*row) for row in rows})))


def fingerprint(structure: Structure) -> str:
    """Return the SHA-256 of a structure, in hexadecimal. Compare it only between databases of the same engine."""
    rows = [[part.thing, part.part, part.definition] for part in structure.parts]
    return hashlib.sha256(orjson.dumps(rows)).hexdigest()


def difference(expected: Structure, found: Structure) -> list[str]:
    """Return the faults of the found structure as it is written, one line each; no lines if both are equal.

    For a table that is missing, or that should not be there, the columns are not listed.
    """
    should, have = _by_name(expected), _by_name(found)
    lines = []
    for key in sorted(should.keys() | have.keys()):
        thing, part = key
        whole = (thing, "")
        if part and (whole in should) != (whole in have):
            continue
        name = f"{thing}: {part}" if part else thing
        if part == PRIVILEGES:
            should.setdefault(key, USUAL)
            have.setdefault(key, USUAL)
        if key not in have:
            lines.append(f"{name} is missing")
        elif key not in should:
            lines.append(f"{name} should not be there")
        elif should[key] != have[key]:
            lines.append(f"{name} differs: it should be ({should[key]}) and is ({have[key]})")
    return lines


def same_parts_differ(expected: Structure, found: Structure) -> bool:
    """Return whether a part that both structures have, other than privileges, is defined differently."""
    should, have = _by_name(expected), _by_name(found)
    return any(should[key] != have[key] for key in should.keys() & have.keys() if key[1] != PRIVILEGES)


def redefined(structure: Structure, restored: Structure) -> Structure:
    """Return the same parts, each as the restored structure defines it, if it has that part and a dump carries it."""
    written = _by_name(restored.definitions)
    return structure_of((p.thing, p.part, written.get((p.thing, p.part), p.definition)) for p in structure.parts)


def found_in(findings: list[str]) -> str:
    """Return what differs, as a part of a sentence."""
    more = len(findings) - NAMED
    return "; ".join(findings[:NAMED]) + (f"; and {more} more" if more > 0 else "")


def _by_name(structure: Structure) -> dict[tuple[str, str], str]:
    return {(part.thing, part.part): part.definition for part in structure.parts}
