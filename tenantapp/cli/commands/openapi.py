"""The command ``openapi``."""

from pathlib import Path

import click

from tenantapp.cli.installation import Installation, pass_installation


@click.command()
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False, writable=True), help="Write it to this file instead."
)
@pass_installation
def openapi(installation: Installation, output: Path | None) -> None:
    """Print the OpenAPI document of the application, in JSON.

    It is the document that the application serves at /api/v1/openapi.json. No database is needed.
    """
    from tenantapp.cli.describing import openapi_document

    document = openapi_document(installation)
    if output is None:
        click.echo(document, nl=False)
    else:
        output.write_bytes(document)
