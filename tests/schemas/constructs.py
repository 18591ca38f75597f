"""What builders have in their schemas: a file of SQL for each construct.

A file has the statements of a revision, then the line ``-- rows``, then statements of the tenant. A line before them
such as ``-- bundle: has no portable form`` says that this verb refuses it, and by which words. ``-- needs: 18`` says
that older versions of PostgreSQL do not have it.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
REFUSED: Final = re.compile(r"^-- (\w+): (.+)$", re.M)


@dataclass(frozen=True)
class Construct:
    """One construct, or several together. ``refused`` has words of the message, by the verb.

    ``needs`` is the oldest major version of PostgreSQL that has it.
    """

    name: str
    schema: str
    rows: str
    refused: dict[str, str] = field(default_factory=dict)
    needs: int = 0


def read_construct(file: Path) -> Construct:
    schema, _, rows = file.read_text().partition("-- rows\n")
    said = dict(REFUSED.findall(schema))
    needs = int(said.pop("needs", 0))
    return Construct(file.stem, schema, rows, said, needs)


def all_constructs() -> list[Construct]:
    return [read_construct(file) for file in sorted(HERE.glob("postgresql/*.sql"))]


def together(constructs: list[Construct]) -> Construct:
    """All of them in one database."""
    return Construct("together", "".join(each.schema for each in constructs), "".join(each.rows for each in constructs))
