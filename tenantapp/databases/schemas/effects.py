"""What a revision loses without naming it, found by comparing the structure before and after.

On SQLite most changes of a table rebuild it. Alembic's batch mode, or a revision that does it by hand, makes the new
table of what it knows of the old one. Triggers, collations, AUTOINCREMENT, generated columns, checks without a name and
indexes on expressions are gone then, and no statement names them. On PostgreSQL, DROP ... CASCADE and a new type of a
column can do the same.

The structure is read before the first statement of a revision that may remove something, and again after the revision.
A revision that only adds costs nothing.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Connection

from tenantapp.databases.errors import RevisionLoses
from tenantapp.databases.schemas.structure import Part, Structure, read_structure

MAY_REMOVE: Final = re.compile(r"\b(?:DROP|RENAME|ALTER\b[^;]*\bTYPE)\b", re.IGNORECASE)
# Before the name of what a statement drops or alters. DROP TABLE is none: a table that is there afterwards was rebuilt.
NAMED: Final = r"\b(?:DROP\s+(?!TABLE\b)|ALTER\b)[^;]*"
DROPS_COLUMN: Final = r"\bALTER\s+TABLE\b[^;]*\bDROP\s+(?:COLUMN\s+)?(?:IF\s+EXISTS\s+)?[\"`\[]?"
OWN: Final = frozenset({"trigger", "index", "constraint", "policy", "rule"})  # parts that a rebuilt table may lack
OPTIONS: Final = re.compile(r"(strict|without rowid)")  # of a SQLite table
AUTOINCREMENT: Final = "autoincrement"


@dataclass(frozen=True, slots=True)
class Attribute:
    """What a column or an index may lose while it stays.

    ``had`` finds it in the definition of the part. A statement that takes it away has the part's name, and ``taken``.
    """

    name: str
    had: str
    taken: str = ""


ATTRIBUTES: Final = {
    "column": (
        Attribute("collation", r"\bcollate\b", r"\b(?:COLLATE|RENAME)\b"),
        Attribute("generation", r"\bgenerated\b", r"\b(?:EXPRESSION|RENAME)\b"),
        Attribute("identity", r"\bidentity\b", r"\b(?:IDENTITY|RENAME)\b"),
    ),
    "index": (
        Attribute("collation", r"\bcollate\b"),
        Attribute("descending order", r"\bdesc\b"),
        Attribute("condition", r"\bwhere\b"),
    ),
}


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that a table has, which may be lost while the table stays.

    ``owner`` is the name that stands in a statement about it, and is empty if it has none.
    """

    thing: str
    name: str
    owner: str
    definition: str
    taken: str = ""

    @property
    def kind(self) -> str:
        """Return ``trigger``, ``collation``, ..., or of a constraint ``check``, ``unique``, ..."""
        words = self.definition if self.name.startswith("constraint ") else self.name
        return words.partition(" ")[0].lower()


class Effects:
    """Watches the revisions that are run on a connection.

    A revision names what it drops by a statement or by an operation of Alembic's batch mode. Or it says what it means
    to lose, in a variable of the module: ``loses = ["table nodes: trigger nodes_stamp"]``.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_reading = False
        self.begin("", ())
        event.listen(connection, "before_cursor_execute", self._note)

    def begin(self, revision: str, loses: Collection[str]) -> None:
        """Begin with a revision, and with what it says that it loses."""
        self._revision, self._loses = revision, loses
        self._before: Structure | None = None
        self._statements: list[str] = []
        self._dropped: set[tuple[str, str]] = set()

    def note_batch(self, table: str, dropped: Iterable[str]) -> None:
        """Note what operations of batch mode take from a table, such as ``column title`` or ``index ix_nodes_title``.

        They execute no statement of their own.
        """
        self._dropped |= {(f"table {table}", name.lower()) for name in dropped}

    def end(self) -> None:
        """Compare, once the revision has run. Raises ``RevisionLoses``."""
        if self._before is not None:
            lost = {f"{feature.thing}: {feature.name}" for feature in self._lost(self._before, self._read())}
            if unnamed := sorted(lost.difference(self._loses)):
                raise RevisionLoses(self._revision, unnamed)

    def _note(self, connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if not self._is_reading and MAY_REMOVE.search(statement):
            self._statements.append(statement)
            if self._before is None:
                self._before = self._read()

    def _read(self) -> Structure:
        self._is_reading = True
        try:
            return read_structure(self._connection)
        finally:
            self._is_reading = False

    def _lost(self, before: Structure, after: Structure) -> Iterator[Feature]:
        had, has = _features(before), _features(after)
        stay = {part.thing for part in after.parts}
        gone = [feature for key, feature in had.items() if key not in has and feature.thing in stay]
        dropped = {thing: set(self._dropped_columns(thing, before, after)) for thing in {each.thing for each in gone}}
        missing = [feature for feature in gone if not self._is_named(feature, dropped[feature.thing])]
        # SQLite has constraints without names. One is still there if it got a name, or if a column of it was renamed.
        left = Counter((feature.thing, feature.kind) for feature in has.values())
        left.subtract((feature.thing, feature.kind) for feature in had.values() if feature not in gone)
        for feature in missing:
            if not feature.owner and left[feature.thing, feature.kind] > 0:
                left[feature.thing, feature.kind] -= 1
            else:
                yield feature

    def _dropped_columns(self, thing: str, before: Structure, after: Structure) -> Iterator[str]:
        for part in {part.part for part in before.parts if part.thing == thing} - {part.part for part in after.parts}:
            kind, _, name = part.partition(" ")
            if kind == "column" and ((thing, part.lower()) in self._dropped or self._states(DROPS_COLUMN, name)):
                yield name

    def _is_named(self, feature: Feature, dropped_columns: Collection[str]) -> bool:
        if (feature.thing, feature.name.lower()) in self._dropped:
            return True
        if feature.kind != "trigger" and any(_has(feature, column) for column in dropped_columns):
            return True
        return bool(feature.owner) and self._states(NAMED, feature.owner, feature.taken)

    def _states(self, before: str, name: str, more: str = "") -> bool:
        """Return whether a statement has this name after this text, and also ``more``."""
        pattern = re.compile(rf"{before}(?<![\w$]){re.escape(name.strip(chr(34)))}(?![\w$])", re.IGNORECASE)
        return any(pattern.search(each) and re.search(more, each, re.IGNORECASE) for each in self._statements)


def _features(structure: Structure) -> dict[tuple[str, str], Feature]:
    return {(feature.thing, feature.name): feature for part in structure.parts for feature in _features_of(part)}


def _features_of(part: Part) -> Iterator[Feature]:
    kind, _, name = part.part.partition(" ")
    if kind in OWN:
        definition = part.definition.removesuffix(f" {AUTOINCREMENT}")
        if kind == "constraint" and name == part.definition:
            yield Feature(part.thing, f"{kind} {definition}", "", definition)
        else:
            yield Feature(part.thing, part.part, name, definition)
        if definition != part.definition:
            yield Feature(part.thing, AUTOINCREMENT, "", definition)
    for each in ATTRIBUTES.get(kind, ()):
        if re.search(each.had, part.definition, re.IGNORECASE):
            yield Feature(part.thing, f"{each.name} of {part.part}", name, part.definition, each.taken)
    if not part.part and not OPTIONS.sub("", part.definition).strip():
        for option in OPTIONS.findall(part.definition):
            yield Feature(part.thing, f"option {option}", "", option)


def _has(feature: Feature, column: str) -> bool:
    name = re.escape(column)
    return feature.owner == column or re.search(rf"(?<![\w$]){name}(?![\w$])", feature.definition) is not None
