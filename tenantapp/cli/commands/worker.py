"""The command ``worker``."""

import click

from tenantapp.cli.installation import Installation, pass_installation


@click.command()
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Operations at once, each in a process."
)
@click.option("--until-idle", is_flag=True, help="End when nothing is waiting.")
@pass_installation
def worker(installation: Installation, jobs: int, until_idle: bool) -> None:
    """Work on the operations that are queued, and on those whose worker died.

    Ends with Ctrl-C or SIGTERM, and the status 0; what it is in the middle of then, another worker goes on with. As
    many as you like may run, on as many machines.
    """
    from tenantapp.cli import working

    working.work(installation, jobs, until_idle)
