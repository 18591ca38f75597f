"""The source of the module of models, made of tables that were found."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import sqlalchemy as sa

from tenantapp.databases.schemas.layout import laid_out_statement
from tenantapp.scaffold.column_sources import ID, column_arguments, column_types, is_resource_key, table_arguments
from tenantapp.scaffold.found import FoundDatabase
from tenantapp.scaffold.identifiers import attribute_names, class_names
from tenantapp.scaffold.type_sources import TypeSource

DOCSTRING: Final = '''"""The tables of every tenant's database, as they were found.

Names, keys and defaults are those of the database. Give the models better names if you like: the names of tables and
columns are said beside them. What is not here, such as views, triggers and checks, is in ``migrations/as_found.sql``.
After a change, write a migration: ``tenantapp revision tenant -m "What it changes"``, or ``make revision``.
"""'''
FOUND: Final = '''

class Found(UserDefinedType[Any]):
    """A type in the words of its engine, as only one engine has it."""

    cache_ok = True

    def __init__(self, words: str) -> None:
        self.words = words

    def get_col_spec(self, **options: Any) -> str:
        """Return it as a statement has it."""
        return self.words
'''
# Imports of the module, by a word that says whether they are needed.
IMPORTS: Final = (
    (
        ("import datetime as dt", r"\bdt\."),
        ("import decimal", r"\bdecimal\."),
        ("import uuid", r"\buuid\."),
        ("from typing import Any", r"\bAny\b"),
    ),
    (
        ("import sqlalchemy as sa", r"\bsa\."),
        ("from sqlalchemy.orm import Mapped, mapped_column", r"\bMapped\b"),
        ("from sqlalchemy.types import UserDefinedType", r"\bUserDefinedType\b"),
        ("from tenantapp.sql.ids import uuid7", r"\buuid7\b"),
        ("from tenantapp.sql.times import UtcDateTime", r"\bUtcDateTime\b"),
        ("from tenantapp.tenancy.models import TenantBase, Tracked", r"\bTracked\b"),
        ("from tenantapp.tenancy.models import TenantBase", r"\bTenantBase\b"),
    ),
)


@dataclass(frozen=True)
class ModelSources:
    """The source of the models, and what they are called: ``classes`` by table, ``attributes`` by table and column."""

    found: FoundDatabase

    @cached_property
    def classes(self) -> dict[str, str]:
        """Return the names of the classes, by the names of the tables."""
        return class_names(table.name for table in self.found.tables)

    @cached_property
    def attributes(self) -> dict[str, dict[str, str]]:
        """Return the names of the attributes, by the names of the tables and their columns."""
        names = {table.name: attribute_names(table.columns.keys()) for table in self.found.tables}
        keys = ((table.name, self.key_of(table)) for table in self.found.tables)
        return names | {name: names[name] | {key.name: ID} for name, key in keys if key is not None}

    @cached_property
    def types(self) -> Mapping[sa.Column[Any], TypeSource]:
        """Return the types of the columns."""
        return column_types(self.found.tables, self.found.dialect)

    def key_of(self, table: sa.Table) -> sa.Column[Any] | None:
        """Return the column that is the key of a resource of this table, or None if it cannot be one."""
        return next((each for each in table.columns if is_resource_key(each, self.found.dialect)), None)

    def module(self) -> str:
        """Return the source of the module."""
        classes = "".join(f"\n\n{self._model(table)}" for table in self.found.tables)
        body = (FOUND if "Found(" in classes else "") + classes
        groups = ["\n".join(line for line, word in group if _needed(line, word, body)) for group in IMPORTS]
        return "\n\n".join([DOCSTRING, *filter(None, groups)]) + "\n" + body

    def _model(self, table: sa.Table) -> str:
        return self._class(table) if table.primary_key.columns else self._plain_table(table)

    def _class(self, table: sa.Table) -> str:
        bases = "Tracked, TenantBase" if self.key_of(table) is not None else "TenantBase"
        lines = [
            f"class {self.classes[table.name]}({bases}):\n",
            f'    """A row of the table {_plain(table.name)}."""\n\n',
            laid_out_statement(f"__tablename__ = {table.name!r}", 1),
        ]
        arguments = self._arguments(table)
        if arguments:
            lines.append(laid_out_statement(f"__table_args__ = ({', '.join(arguments)},)", 1))
        lines.append("\n")
        lines += (laid_out_statement(source, 1) for source in self._columns(table))
        return "".join(lines)

    def _arguments(self, table: sa.Table) -> list[str]:
        return list(table_arguments(table, self.found.dialect, self.found.uniques.get(table.name, ())))

    def _columns(self, table: sa.Table) -> Iterator[str]:
        for column in table.columns:
            name, type_ = self.attributes[table.name][column.name], self.types[column]
            said = [] if name == column.name else [repr(column.name)]
            optional = column.nullable and not column.primary_key and type_.python != "Any"
            python = f"{type_.python} | None" if optional else type_.python
            arguments = [*said, *column_arguments(column, type_, self.found.dialect)]
            yield f"{name}: Mapped[{python}] = mapped_column({', '.join(arguments)})"

    def _plain_table(self, table: sa.Table) -> str:
        """Return the source of a table without a key, which can have no class."""
        columns = [f"sa.Column({', '.join(self._plain_column(column))})" for column in table.columns]
        arguments = self._arguments(table)
        options = [f"comment={table.comment!r}"] if table.comment is not None else []
        arguments = arguments[: len(arguments) - len(options)]
        parts = [repr(table.name), "TenantBase.metadata", *columns, *arguments, *options]
        return laid_out_statement(f"{self.classes[table.name]} = sa.Table({', '.join(parts)})")

    def _plain_column(self, column: sa.Column[Any]) -> Iterator[str]:
        yield repr(column.name)
        yield from column_arguments(column, self.types[column], self.found.dialect)


def _needed(line: str, word: str, body: str) -> bool:
    if line.endswith("TenantBase") and re.search(r"\bTracked\b", body):
        return False  # the line before has both
    return re.search(word, body) is not None


def _plain(name: str) -> str:
    return re.sub(r"[^\w .-]", "?", name)
