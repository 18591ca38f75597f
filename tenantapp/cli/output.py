"""Print tables for people and JSON for programs.

rich and orjson are imported when they print: many commands print a sentence.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from tenantapp.characters import visible
from tenantapp.cli.failures import CommandFailed

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH: Final = 10_000  # columns; so each row is one line, for grep
PLAIN_WORD: Final = re.compile(r"[^\s\"=]+")


def ask(question: str) -> None:
    """Ask a question on the terminal. Raises ``CommandFailed`` unless the answer is yes."""
    if not click.confirm(question, err=True):
        raise CommandFailed("Nothing was done")


def show_rows(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, as_named: bool = False
) -> None:
    """Print rows: these columns as a table, or with ``as_json`` all values as ``{"items": [...]}``, like the API.

    The headings are the names of the columns, with spaces for underscores unless ``as_named``.
    """
    if as_json:
        _show_json({"items": list(rows)})
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table
    from rich.text import Text

    headings = columns if as_named else [column.replace("_", " ") for column in columns]
    table = Table(*(Column(Text(heading)) for heading in headings), box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_cell(row[column])) for column in columns))
    _console().print(table)


def show_one(row: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one row: a line for each name and value, or a JSON object."""
    if as_json:
        _show_json(row)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in row.items():
        table.add_row(name.replace("_", " "), Text(_cell(value)))
    _console().print(table)


def pairs(values: Mapping[str, Any]) -> str:
    """Return ``name=value`` for each value, on one line. What is not a plain word is written as JSON."""
    return " ".join(f"{name}={_word(value)}" for name, value in values.items())


def _show_json(value: Any) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode())


def _cell(value: Any) -> str:
    """Return what a table shows. It goes into a ``Text``: in a str, rich would read [brackets] as markup."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case dict():
            return pairs(value)
        case list():
            return ", ".join(map(_plain, value))
    return _plain(value)


def _word(value: Any) -> str:
    word = _plain(value)
    return word if isinstance(value, str) and PLAIN_WORD.fullmatch(word) else visible(_compact_json(value))


def _plain(value: Any) -> str:
    return _compact_json(value) if isinstance(value, dict | list) else visible(str(value))


def _compact_json(value: Any) -> str:
    # Not orjson, which refuses whole numbers of more than 64 bits: a database's JSON may have them.
    return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))


def _console() -> "Console":
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
