"""What builders have in their schemas: a file of SQL for each construct, by the engine.

A file has the statements of a revision, then the line ``-- rows``, then statements of the tenant. Lines before them say

- ``-- bundle: has no portable form``: this verb refuses it, and by which words;
- ``-- replication: no primary key``: a move does not replicate it, and by which words it says so;
- ``-- needs: 18``: older versions of PostgreSQL do not have it;
- ``-- extensions: vector``: the setting of each server names them, and a server that does not have them is not tried.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.postgres import has_extension

HERE: Final = Path(__file__).parent
REFUSED: Final = re.compile(r"^-- (\w+): (.+)$", re.M)


@dataclass(frozen=True)
class Construct:
    """One construct, or several together.

    ``refused`` has words of the message, by the verb, and ``dumped`` those that say why it is not replicated, if it is
    not. ``needs`` is the oldest major version of PostgreSQL that has it, ``extensions`` what a server makes.
    """

    name: str
    schema: str
    rows: str
    refused: dict[str, str] = field(default_factory=dict)
    dumped: str = ""
    needs: int = 0
    extensions: str = ""

    def is_on(self, major: int) -> bool:
        """Whether the PostgreSQL of this version that is here has it."""
        return self.needs <= major and (not self.extensions or has_extension(major, self.extensions))


def read_construct(file: Path) -> Construct:
    schema, _, rows = file.read_text().partition("-- rows\n")
    said = dict(REFUSED.findall(schema))
    dumped, needs = said.pop("replication", ""), int(said.pop("needs", 0))
    return Construct(
        file.stem, schema, rows, needs=needs, dumped=dumped, extensions=said.pop("extensions", ""), refused=said
    )


def all_constructs(engine: str = "postgresql") -> list[Construct]:
    return [read_construct(file) for file in sorted(HERE.glob(f"{engine}/*.sql"))]


def together(constructs: list[Construct], name: str = "together") -> Construct:
    """All of them in one database. One of them is enough for a verb to refuse it."""
    refused: dict[str, str] = {}
    for verb, words in (item for each in constructs for item in each.refused.items()):
        refused[verb] = f"{refused[verb]}|{words}" if verb in refused else words
    dumped = "|".join(each.dumped for each in constructs if each.dumped)
    schema, rows = ("".join(getattr(each, part) for each in constructs) for part in ("schema", "rows"))
    extensions = ", ".join(each.extensions for each in constructs if each.extensions)
    return Construct(name, schema, rows, refused, dumped, max(each.needs for each in constructs), extensions)


def grouped(constructs: list[Construct]) -> list[Construct]:
    """As few together as go the same ways: those that are replicated, those that are dumped, those without a bundle."""
    groups: dict[str, list[Construct]] = {}
    for each in constructs:
        way = "refused" if each.refused else "dumped" if each.dumped else "replicated"
        groups.setdefault(way, []).append(each)
    return [together(group, way) for way, group in groups.items()]
