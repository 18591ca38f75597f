"""Read CSV files that list new tenants."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenantapp.cli.failures import CommandFailed
from tenantapp.private_files import open_regular

MOST_EMPTY: Final = 2  # lines of a file without tenants: the columns alone
COLUMNS: Final = ("slug", "name", "server", "administrator")


@dataclass(frozen=True, slots=True)
class TenantLine:
    """A new tenant. ``where`` names its line of the file; ``error`` says what is wrong with the line, if anything."""

    slug: str
    name: str | None = None
    server: str | None = None
    administrator: str | None = None
    where: str = ""
    error: str | None = None


def read_tenants(path: Path) -> Iterator[TenantLine]:
    """Yield the lines of a CSV file (RFC 4180). Its first line names the columns, those of ``COLUMNS``.

    Only ``slug`` is required. Raises ``CommandFailed`` if the file is not like that, and ``OSError``.
    """
    opened = open_regular(path)
    if opened is None:
        raise CommandFailed(f"{path} is not a regular file")
    with io.TextIOWrapper(opened, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            columns = reader.fieldnames or []
            if "slug" not in columns or not set(columns) <= set(COLUMNS):
                names = "slug and, if you like, name, server and administrator, separated by commas"
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
        return TenantLine(
            row.get("slug") or "", where=where, error="The line has more or fewer values than there are columns."
        )
    values = {column: (row.get(column) or "").strip() or None for column in COLUMNS}
    return TenantLine(values["slug"] or "", values["name"], values["server"], values["administrator"], where)
