"""The command ``new``."""

from pathlib import Path
from shlex import quote

import click


@click.command()
@click.argument("package")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help="Where to write it. It must not exist, or be empty. Default: a directory of that name, here.",
)
def new(package: str, directory: Path | None) -> None:
    """Write a package of your own that builds on tenantapp.

    It has a model, a resource, a permission and a role, a first migration, tests, settings and a Makefile. Nothing is
    written if something is wrong. Then run:

      make -C PACKAGE run
    """
    from tenantapp.scaffold.projects import new_project

    place = directory or Path(package)
    new_project(package, place)
    click.echo(f"The package {package} is in {place}.")
    click.echo(f"Serve it with `make -C {quote(str(place))} run`, and test it with `make -C {quote(str(place))} test`.")
