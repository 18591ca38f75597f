"""Commands for the audit trail as evidence."""

from pathlib import Path

import click

from tenantapp.cli.arguments import json_option
from tenantapp.cli.completing import slugs
from tenantapp.cli.installation import Installation, pass_installation

tenant_option = click.option(
    "--tenant", metavar="SLUG", shell_complete=slugs, help="Only the chain of this tenant. Its id does as well."
)


@click.group()
def audit() -> None:
    """Verify and export the audit trail, which `fleet audit` shows."""


@audit.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@tenant_option
@click.option("--key", "keys", metavar="HEX", multiple=True, help="A public key to trust, of `audit key`. Repeatable.")
@json_option
@pass_installation
def verify(
    installation: Installation, file: Path | None, tenant: str | None, keys: tuple[str, ...], as_json: bool
) -> None:
    """Verify that no entry of the audit trail is altered, removed, inserted, or in another place.

    Without FILE, the trail in the user database is verified, and with FILE one that `audit export` has written. By
    default the key of this installation is trusted; with --key only the keys that you name, and a FILE needs no
    installation. The exit status is 0 if nothing is wrong.
    """
    from tenantapp.cli import audit_chains

    if file is not None and tenant is not None:
        raise click.UsageError("--tenant is for the user database. A file says itself what it has.")
    audit_chains.verify(installation, file, tenant, keys, as_json=as_json)


@audit.command()
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@tenant_option
@pass_installation
def export(installation: Installation, file: Path, tenant: str | None) -> None:
    """Write the audit trail to a file, as lines of JSON with the hashes and signatures.

    Keep it elsewhere: who alters the database later cannot alter the file. `audit verify FILE` needs nothing else.
    """
    from tenantapp.cli import audit_chains

    audit_chains.export(installation, file, tenant)


@audit.command()
@pass_installation
def key(installation: Installation) -> None:
    """Print the public key that the audit trail is signed with. It is derived from tenancy.secret."""
    from tenantapp.cli import audit_chains

    click.echo(audit_chains.own_key(installation).public.hex())


@audit.command()
@click.option("--was", metavar="HEX", required=True, help="The former public key, or `none` if there was no secret.")
@pass_installation
def sign(installation: Installation, was: str) -> None:
    """Sign the audit trail again, after tenancy.secret was changed.

    Until then no entries are sealed, because a new signature must not cover a chain that somebody has put in place of
    ours. Chains that are not signed by the former key are refused.
    """
    from tenantapp.cli import audit_chains

    audit_chains.sign(installation, was)
