"""What commands on many tenants have in common."""

import click

jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Tenants at once; also the most connections to each server.",
)
