"""Files that list tenants to be made."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenantapp.cli.failures import CommandFailed
from tenantapp.private_files import open_regular

MOST_EMPTY: Final = 2  # lines: the one with the columns
COLUMNS: Final = ("slug", "name", "server")


@dataclass(frozen=True, slots=True)
class TenantLine:
    """A tenant to be made; ``where`` is the line of the file. ``error`` says what is wrong with the line, if it is."""

    slug: str
    name: str | None = None
    server: str | None = None
    where: str = ""
    error: str | None = None


def read_tenants(path: Path) -> Iterator[TenantLine]:
    """The lines of a CSV file (RFC 4180) whose first line names its columns: ``slug``, and ``name`` and ``server``.

    Raises ``CommandFailed`` for a file that has other columns, and ``OSError``.
    """
    opened = open_regular(path)
    if opened is None:
        raise CommandFailed(f"{path} is not a regular file")
    with io.TextIOWrapper(opened, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            columns = reader.fieldnames or []
            if "slug" not in columns or not set(columns) <= set(COLUMNS):
                names = "slug, perhaps name, server, with commas between them"
                raise CommandFailed(f"The first line of {path} must name its columns: {names}")
            for row in reader:
                yield _line(row, f"line {reader.line_num}")
        except csv.Error as error:
            raise CommandFailed(f"{path}, line {reader.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise CommandFailed(f"{path} is not in UTF-8 ({error.reason} after line {reader.line_num})") from error
        if reader.line_num < MOST_EMPTY:
            raise CommandFailed(f"{path} names no tenants")


def _line(row: dict[str | None, str | None], where: str) -> TenantLine:
    if None in row or None in row.values():
        return TenantLine(row.get("slug") or "", where=where, error="It has not as many values as there are columns.")
    values = {column: (row.get(column) or "").strip() or None for column in COLUMNS}
    return TenantLine(values["slug"] or "", values["name"], values["server"], where)
