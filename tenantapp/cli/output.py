"""What commands print: tables for people, JSON for programs."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import click
import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from tenantapp.cli.failures import CommandFailed

PIPE_WIDTH: Final = 10_000  # a row stays one line for grep


def ask(question: str) -> None:
    """Ask on the terminal. Raises ``CommandFailed`` unless it is answered with yes."""
    if not click.confirm(question, err=True):
        raise CommandFailed("Nothing was done")


def show_rows(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, as_named: bool = False
) -> None:
    """Print rows: ``columns`` of them as a table, or all they hold as ``{"items": [...]}``, as the API does.

    ``as_named``: the columns have names of somebody else's, which are headings as they are.
    """
    if as_json:
        _show_json({"items": list(rows)})
        return
    headings = columns if as_named else [column.replace("_", " ") for column in columns]
    table = Table(*(Column(Text(heading)) for heading in headings), box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    _console().print(table)


def show_one(row: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one row: name and value a line, or as a JSON object."""
    if as_json:
        _show_json(row)
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in row.items():
        table.add_row(name.replace("_", " "), _cell(value))
    _console().print(table)


def _show_json(value: Any) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode())


def _cell(value: Any) -> Text:
    # Text, not str: rich would read [brackets] in somebody's name as markup.
    match value:
        case None:
            return Text("")
        case bool():
            return Text("yes" if value else "no")
        case datetime():
            return Text(f"{value:%Y-%m-%d %H:%M}")
        case dict():
            return Text(", ".join(f"{name} {found}" for name, found in value.items()))
        case list():
            return Text(", ".join(map(str, value)))
    return Text(str(value))


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
