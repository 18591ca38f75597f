"""The command ``demo``."""

import click

from tenantapp.cli.installation import Installation, pass_installation


@click.command()
@click.option("--http-port", help="The port to show in the URL. Default: http_port of the configuration file.")
@pass_installation
def demo(installation: Installation, http_port: str | None) -> None:
    """Make two tenants to try tenantapp.

    They have a few people and, in the bundled domain, nodes. The command changes nothing that exists already, so you
    can run it again, for instance after an interruption.
    """
    from tenantapp.cli import demonstration

    demonstration.make(installation, http_port)
