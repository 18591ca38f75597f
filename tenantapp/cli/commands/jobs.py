"""Commands for jobs: what the domain has left for later in each tenant."""

from uuid import UUID

import click

from tenantapp.cli.arguments import json_option, slug_argument
from tenantapp.cli.installation import Installation, pass_installation

STATES = ("queued", "running", "held", "done", "failed", "cancelled")
job_argument = click.argument("job_id", metavar="ID", type=click.UUID)


@click.group()
def jobs() -> None:
    """Jobs of a tenant: work that the domain has left for later."""


@jobs.command("list")
@slug_argument
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The most jobs to show.")
@json_option
@pass_installation
def list_(installation: Installation, slug: str, state: str | None, limit: int, as_json: bool) -> None:
    """List the jobs of a tenant, newest first."""
    from tenantapp.cli import jobs

    jobs.show(installation, slug, state, limit, as_json)


@jobs.command()
@slug_argument
@job_argument
@json_option
@pass_installation
def retry(installation: Installation, slug: str, job_id: UUID, as_json: bool) -> None:
    """Run a failed or cancelled job again, or a queued one at once."""
    from tenantapp.cli import jobs

    jobs.retry(installation, slug, job_id, as_json)


@jobs.command()
@slug_argument
@job_argument
@json_option
@pass_installation
def cancel(installation: Installation, slug: str, job_id: UUID, as_json: bool) -> None:
    """Cancel a job.

    A running job stops at its next check, a few seconds later, and leaves nothing. A cancelled periodic job is not due
    again until it is retried.
    """
    from tenantapp.cli import jobs

    jobs.cancel(installation, slug, job_id, as_json)


@jobs.command()
@slug_argument
@click.argument("job_id", metavar="[ID]", type=click.UUID, required=False)
@json_option
@pass_installation
def release(installation: Installation, slug: str, job_id: UUID | None, as_json: bool) -> None:
    """Let the held jobs of a copy run: all of them, or one.

    They were queued in the original of a clone or an import, or before a restore, and may have been done there.
    """
    from tenantapp.cli import jobs

    jobs.release(installation, slug, job_id, as_json)
