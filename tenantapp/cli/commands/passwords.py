"""Commands for passwords."""

from pathlib import Path

import click

from tenantapp.cli.installation import Installation, pass_installation


@click.group()
def passwords() -> None:
    """Keep the list of breached passwords."""


@passwords.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@pass_installation
def load(installation: Installation, source: Path) -> None:
    """Have passwords refused that are known from breaches.

    FILE is the list of Have I Been Pwned: a line SHA1:COUNT for each password, ordered by hash. A compact filter of it
    is written to the file in the setting passwords.breached. Processes that serve take it up by themselves.
    """
    from tenantapp.cli.passwords import load_breached

    load_breached(installation, source)
