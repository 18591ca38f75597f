"""Names of Python for what a database calls whatever it likes."""

import keyword
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from itertools import chain, count
from typing import Final

from tenantapp.content import Content
from tenantapp.tenancy.models import TenantBase

# What a class of models uses, and what its members would hide. Pydantic refuses fields that hide its own.
OF_A_CLASS: Final = frozenset(
    {*dir(TenantBase), *dir(Content), "Any", "Found", "Mapped", "dt", "decimal", "sa", "uuid", "TenantBase", "Tracked"}
    | {"UserDefinedType", "UtcDateTime", "mapped_column", "uuid7", "int", "str", "bool", "float", "bytes"}
)


def attribute_names(columns: Iterable[str]) -> dict[str, str]:
    """Return a name of an attribute for each column: in small letters, and hiding nothing."""
    return _unique({column: _word(column, "column").lower() for column in columns}, OF_A_CLASS)


def class_names(tables: Iterable[str]) -> dict[str, str]:
    """Return a name of a class for each table: ``OrderLines`` for ``order lines``."""
    return _unique({table: _capitals(_word(table, "table")) for table in tables}, OF_A_CLASS)


def resource_names(tables: Iterable[str], package: str, taken: Collection[str]) -> dict[str, str]:
    """Return the name of a resource for each table, other than those that are taken."""
    words = {table: _word(table, "table").lower() for table in tables}
    return _unique({table: f"{package}_{word}" if word in taken else word for table, word in words.items()}, taken)


def _word(name: str, otherwise: str) -> str:
    """Return the ASCII letters, digits and underscores of a name, beginning with a letter."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    word = re.sub(r"\W+", "_", plain).strip("_")
    return word if word[:1].isalpha() else f"{otherwise}_{word}".rstrip("_")


def _capitals(word: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in word.split("_"))


def _unique(wanted: Mapping[str, str], taken: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, word in wanted.items():
        others = (f"{word}_{number}" for number in count(2))
        for chosen in chain((word, f"{word}_"), others):
            if not (chosen in taken or keyword.iskeyword(chosen) or chosen in found.values()):
                found[name] = chosen
                break
    return found
