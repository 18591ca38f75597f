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
@click.option(
    "--from-database",
    metavar="URL",
    help="Make the models and resources of the tables of this database, which is only read.",
)
def new(package: str, directory: Path | None, from_database: str | None) -> None:
    """Write a package of your own that builds on tenantapp.

    It has a model, a resource, a permission and a role, a first migration, tests, settings and a Makefile. Nothing is
    written if something is wrong. Then run:

      make -C PACKAGE run
    """
    from tenantapp.scaffold.projects import new_project

    place = directory or Path(package)
    notes = new_project(package, place, from_database)
    click.echo(f"The package {package} is in {place}.")
    for note in notes:
        click.echo(f"{note}.")
    click.echo(f"Serve it with `make -C {quote(str(place))} run`, and test it with `make -C {quote(str(place))} test`.")
