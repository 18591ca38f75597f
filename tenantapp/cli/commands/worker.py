"""The command ``worker``."""

import click

from tenantapp.cli.installation import Installation, pass_installation


@click.command()
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="How many operations to work on at once, each in a process.",
)
@click.option("--until-idle", is_flag=True, help="End when no operation and no job is waiting.")
@pass_installation
def worker(installation: Installation, jobs: int, until_idle: bool) -> None:
    """Work on operations, and on the jobs of the tenants.

    Works on queued operations, and on those whose worker has died. Beside them, each process works on the jobs of
    `jobs.threads` tenants at once. End it with Ctrl-C or SIGTERM: the exit status is 0,
    and another worker resumes its operation. You can run many workers, on many machines.
    """
    from tenantapp.cli import working

    working.work(installation, jobs, until_idle)
