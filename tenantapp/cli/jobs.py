"""The work of the commands for jobs."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_rows
from tenantapp.work.administration import jobs_on_command_line

COLUMNS = ("id", "name", "state", "due_at", "schedule", "attempts", "percent", "arguments", "error")


def show(installation: Installation, slug: str, state: str | None, limit: int, as_json: bool) -> None:
    """Print jobs. Raises ``NotFound``, and what the tenant's database raises."""
    with jobs_on_command_line(installation.fleet, slug) as jobs:
        _print(jobs.list(state=state, limit=limit), as_json)


def retry(installation: Installation, slug: str, job_id: UUID, as_json: bool) -> None:
    """Retry a job, and print it. Raises ``NotFound`` and ``JobRefused``."""
    with jobs_on_command_line(installation.fleet, slug) as jobs:
        _print([jobs.retry(job_id)], as_json)


def cancel(installation: Installation, slug: str, job_id: UUID, as_json: bool) -> None:
    """Cancel a job, and print it. Raises ``NotFound`` and ``JobRefused``."""
    with jobs_on_command_line(installation.fleet, slug) as jobs:
        _print([jobs.cancel(job_id)], as_json)


def release(installation: Installation, slug: str, job_id: UUID | None, as_json: bool) -> None:
    """Release held jobs, and print them. Raises ``NotFound`` and ``JobRefused``."""
    with jobs_on_command_line(installation.fleet, slug) as jobs:
        _print(jobs.release(job_id), as_json)


def _print(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    show_rows(rows, COLUMNS, as_json=as_json)
