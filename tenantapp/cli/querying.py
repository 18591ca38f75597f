"""The work of ``fleet query``."""

import csv
import sys
from collections.abc import Sequence
from typing import Any, Final, Protocol

import click

from tenantapp.characters import visible
from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_rows
from tenantapp.fleet.querying.parallel import databases_of_our_own, places
from tenantapp.fleet.querying.queries import TENANT, Answer, json_object, query_tenants, text_of
from tenantapp.fleet.querying.recording import record_query

# Of one tenant's rows. Memory holds the rows of at most twice as many tenants as there are jobs.
MOST_BYTES: Final = 32 * 2**20
TABLE_ROWS: Final = 1000  # of one table; then a new table begins, so that memory does not hold all rows


def query(
    installation: Installation, statement: str, slugs: Sequence[str], layout: str, limit: int, timeout: float, jobs: int
) -> None:
    """Print the answers of these tenants, or of all. Raises ``CommandFailed`` if one does not answer."""
    found = places(installation.fleet.user_db, slugs)
    with installation.user_session() as session:
        record_query(session, found, statement, limit)
    writer = _writer(layout)
    failed = []
    with databases_of_our_own(installation.fleet.servers, jobs) as databases:
        given: dict[str, Any] = {"jobs": jobs, "limit": limit, "timeout": timeout, "most_bytes": MOST_BYTES}
        for answer in query_tenants(databases, found, statement, **given):
            failure = answer.failure or writer.add(answer)
            if failure:
                failed.append(answer.place.slug)
                click.echo(f"{answer.place.slug}: {failure}", err=True)
            elif answer.truncated:
                click.echo(f"{answer.place.slug}: only the first {len(answer.rows)} rows", err=True)
    writer.close()
    if failed:
        raise CommandFailed(f"{len(failed)} of {len(found)} tenants did not answer: {', '.join(failed)}")


def _writer(layout: str) -> "_Writer":
    match layout:
        case "csv":
            return _Csv()
        case "jsonl":
            return _JsonLines()
    return _Tables()


class _Writer(Protocol):
    def add(self, answer: Answer) -> str | None:
        """Write a tenant's rows. Return None, or why they do not fit among the others."""

    def close(self) -> None:
        """Write what is left: there are no more rows."""


class _Tables:
    def __init__(self) -> None:
        self._columns: tuple[str, ...] = ()
        self._rows: list[dict[str, Any]] = []

    def add(self, answer: Answer) -> None:
        if answer.columns != self._columns or len(self._rows) >= TABLE_ROWS:
            self.close()
        self._columns = answer.columns
        self._rows += [_row(answer, tuple(map(_shown, values))) for values in answer.rows]

    def close(self) -> None:
        if self._columns:
            show_rows(self._rows, (TENANT, *self._columns), as_json=False, as_named=True)
        self._rows = []


class _Csv:
    def __init__(self) -> None:
        self._columns: tuple[str, ...] | None = None
        self._writer = csv.writer(sys.stdout, lineterminator="\n")

    def add(self, answer: Answer) -> str | None:
        if self._columns is None:
            self._columns = answer.columns
            self._writer.writerow((TENANT, *answer.columns))
        if answer.columns != self._columns:
            return f"its columns differ from the first tenant's: {', '.join(answer.columns)}"
        self._writer.writerows((answer.place.slug, *map(text_of, values)) for values in answer.rows)
        return None

    def close(self) -> None:
        pass


class _JsonLines:
    def add(self, answer: Answer) -> None:
        for values in answer.rows:
            click.echo(json_object(_row(answer, values)).decode())

    def close(self) -> None:
        pass


def _row(answer: Answer, values: tuple[Any, ...]) -> dict[str, Any]:
    return {TENANT: answer.place.slug, **dict(zip(answer.columns, values, strict=True))}


def _shown(value: Any) -> Any:
    """Return a value for a table. Text must not move the cursor of the terminal, or break a row in two."""
    if isinstance(value, bytes | memoryview):
        return text_of(value)
    return visible(value) if isinstance(value, str) else value
