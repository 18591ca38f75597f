"""The work of ``tenants rename``."""

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.fleet.hooks.after import HOOK, rename
from tenantapp.operations.foreground import run_queued
from tenantapp.operations.queue import local_requester


def rename_tenant(installation: Installation, slug: str, new: str, name: str | None) -> None:
    """Rename a tenant, and run the domain's hooks of that. Raises ``CommandFailed`` if a hook fails."""
    fleet = installation.fleet
    with installation.user_session() as session:
        _, operations = rename(session, fleet, slug, new, name=name, requested_by=local_requester())
        queued = [operation.id for operation in operations]
    click.echo(f"The tenant {slug} is now called {new}.")
    outcomes = [run_queued(fleet, {HOOK.name: HOOK}, operation_id) for operation_id in queued]
    errors = [str(outcome.error).rstrip(".") for outcome in outcomes if outcome is not None and outcome.error]
    if errors:
        raise CommandFailed(f"{'; '.join(errors)}; `tenantapp worker` tries again")
