"""The command ``demo``."""

import click

from tenantapp.cli.installation import Installation, pass_installation


@click.command()
@click.option("--http-port", help="The port the server listens on; that of the configuration if left out.")
@pass_installation
def demo(installation: Installation, http_port: str | None) -> None:
    """Make two tenants, a few people and some nodes.

    What is there already stays as it is, so that it can be run again, also after it was interrupted.
    """
    from tenantapp.cli import demonstration

    demonstration.make(installation, http_port)
