"""Print what ``tenantapp migrate`` does: a bar and names for people, lines of JSON for programs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final

import click
import orjson

from tenantapp.cli.migration_report import MigrationReport
from tenantapp.cli.output import show_rows
from tenantapp.cli.progress import Bar, counting_bar
from tenantapp.fleet.migrating.orders import MigrationOrder, MigrationResult, MigrationState
from tenantapp.fleet.migrating.plan import MigrationPlan
from tenantapp.fleet.migrating.rehearsals import Rehearsal, RehearsalState
from tenantapp.fleet.migrating.run import MigrationRun
from tenantapp.fleet.migrating.status import TenantStatus, revisions_in_use

MIB: Final = 2**20
WOULD: Final = "would be migrated"
SUMMARY: Final = (
    ("migrated", MigrationState.MIGRATED),
    ("already_there", MigrationState.ALREADY_THERE),
    ("failed", MigrationState.FAILED),
)


class Audience(ABC):
    """The reader of the output. The work itself runs in a ``with`` block of the audience."""

    def __enter__(self) -> "Audience":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @abstractmethod
    def told(self, result: MigrationResult) -> None:
        """Report that a tenant is finished."""

    @abstractmethod
    def rehearsed(self, rehearsal: Rehearsal) -> None:
        """Report that a rehearsal is over."""

    @abstractmethod
    def planned(self, plan: MigrationPlan) -> None:
        """Print what would be done."""

    @abstractmethod
    def summary(self, report: MigrationReport) -> None:
        """Print what was done."""


class JsonLines(Audience):
    """For programs: a line on stdout for each tenant when it is finished, and a last line with the summary."""

    def told(self, result: MigrationResult) -> None:
        _line(_row(result.order, result.state, result.duration, result.error))

    def rehearsed(self, rehearsal: Rehearsal) -> None:
        _line({"rehearsal": rehearsal.row})

    def planned(self, plan: MigrationPlan) -> None:
        for row in _planned(plan):
            _line(row)

    def summary(self, report: MigrationReport) -> None:
        for order in report.run.left if not report.only_rehearsed else ():
            _line(_row(order, MigrationState.LEFT, None, None))
        for row in _wrong(report):
            _line(row)
        times = {"seconds": round(report.seconds, 3)}
        if report.verify_seconds is not None:
            right = len(report.verdicts) - len(report.wrong)
            times |= {"verified": right, "wrong": len(report.wrong), "verify_seconds": round(report.verify_seconds, 3)}
        if report.run.rehearsals:
            passed = len(report.run.rehearsals) - len(report.run.badly_rehearsed)
            times |= {"rehearsed": passed, "rehearsed_badly": len(report.run.badly_rehearsed)}
        _line({"summary": {"to": report.run.plan.wanted, **_counts(report.run), **times}})


class People(Audience):
    """For people: a bar on stderr if that is a terminal, failures as they happen, and a summary on stdout."""

    def __init__(self, total: int) -> None:
        self._total, self._open = total, ExitStack()
        self._bar = Bar()

    def __enter__(self) -> "Audience":
        # This process forks the processes that migrate.
        self._bar = self._open.enter_context(counting_bar("migrating", self._total, forks=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def told(self, result: MigrationResult) -> None:
        if result.state == MigrationState.FAILED:
            self._bar.say(f"{result.order.slug}: {result.error}")
        if result.started_at is not None:
            self._bar.advance()

    def rehearsed(self, rehearsal: Rehearsal) -> None:
        if rehearsal.state != RehearsalState.PASSED:
            self._bar.say(f"rehearsal on {rehearsal.tenant}: {rehearsal.error}")

    def planned(self, plan: MigrationPlan) -> None:
        rows = [row for row in _planned(plan) if row["state"] != MigrationState.ALREADY_THERE]
        show_rows(rows, ("tenant", "from", "to", "state", "error"), as_json=False)
        click.echo(f"{len(plan.orders)} to be migrated, {len(plan.done)} already there, {len(plan.refused)} cannot be.")

    def summary(self, report: MigrationReport) -> None:
        show_rehearsals([rehearsal.row for rehearsal in report.run.rehearsals])
        if report.only_rehearsed:
            return
        counts, seconds = _counts(report.run), report.seconds
        if report.run.failed:
            rows = [_row(result.order, result.state, result.duration, result.error) for result in report.run.failed]
            show_rows(rows, ("tenant", "from", "to", "error"), as_json=False)
        rate = f", {counts['migrated'] / seconds:.1f}/s" if counts["migrated"] and seconds else ""
        said = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items())
        click.echo(f"To {report.run.plan.wanted}: {said}, in {seconds:.1f} s{rate}.")
        for verdict in report.wrong:
            click.echo("\n".join(f"{verdict.place.slug}: {finding}" for finding in verdict.findings))
        if report.verdicts and report.verify_seconds is not None:
            right = len(report.verdicts) - len(report.wrong)
            click.echo(f"Verified: {right} right, {len(report.wrong)} not, in {report.verify_seconds:.1f} s.")


def show_rehearsals(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rehearsals for people: a line for each, and one for each lock that kept others out."""
    for row in rows:
        size = "" if row["size"] is None else f", {row['size'] / MIB:.1f} MiB"
        took = "" if row["duration"] is None else f" in {row['duration']:.2f} s"
        error = "" if row["error"] is None else f": {row['error']}"
        click.echo(f"Rehearsal on {row['tenant']} ({row['chosen']}{size}): {row['state']}{took}{error}")
        for lock in row["locks"]:
            where = f" of {lock['table']}" if lock["table"] else ""
            click.echo(f"  keeps others from {lock['keeps_from']}{where} for {lock['seconds']:.2f} s ({lock['mode']})")


def show_status(statuses: list[TenantStatus], rehearsals: list[dict[str, Any]], head: str, *, as_json: bool) -> None:
    """Print how many tenants are at each revision, and the tenants that are behind or whose last migration failed.

    Then print the rehearsals of the latest run.
    """
    revisions = [
        {"revision": revision, "tenants": number, "newest": revision == head}
        for revision, number in revisions_in_use(statuses)
    ]
    rows = [_renamed(asdict(status)) for status in statuses]
    if as_json:
        _line({"revisions": revisions, "tenants": rows, "rehearsals": rehearsals})
        return
    show_rows(revisions, ("revision", "tenants", "newest"), as_json=False)
    behind = [row for row in rows if row["revision"] != head or row["state"] not in (None, "succeeded")]
    if behind:
        click.echo()
        columns = ("tenant", "revision", "from", "to", "state", "started_at", "duration", "error")
        show_rows(behind, columns, as_json=False)
    show_rehearsals(rehearsals)


def _planned(plan: MigrationPlan) -> list[dict[str, Any]]:
    finished = [_row(result.order, result.state, None, result.error) for result in [*plan.done, *plan.refused]]
    return finished + [_row(order, WOULD, None, None) for order in plan.orders]


def _row(order: MigrationOrder, state: str, duration: float | None, error: str | None) -> dict[str, Any]:
    return {
        "tenant": order.slug,
        "from": order.found,
        "to": order.wanted,
        "state": str(state),
        "duration": None if duration is None else round(duration, 3),
        "error": error,
    }


def _wrong(report: MigrationReport) -> list[dict[str, Any]]:
    """Return a row for each migrated database that is wrong; ``error`` has the findings."""
    orders = {result.order.tenant_id: result.order for result in report.run.results}
    return [
        _row(orders[verdict.place.id], verdict.state, None, "; ".join(verdict.findings)) for verdict in report.wrong
    ]


def _renamed(status: dict[str, Any]) -> dict[str, Any]:
    names = {"found": "from", "wanted": "to"}
    return {names.get(name, name): value for name, value in status.items()}


def _counts(run: MigrationRun) -> dict[str, int]:
    counts = {name: sum(result.state == state for result in run.results) for name, state in SUMMARY}
    return counts | {"left": len(run.left)}


def _line(value: Any) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_UTC_Z).decode())
