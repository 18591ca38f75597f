"""The command ``fleet audit``."""

import click

from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.cli.output import json_option, show_rows
from tenantapp.identity import audit as service
from tenantapp.identity.models import AuditEntry


@click.command()
@click.option("--tenant", "slug", help="Only what was done to this tenant.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@json_option
@pass_installation
def audit(installation: Installation, slug: str | None, limit: int, as_json: bool) -> None:
    """Show who did what to which tenant, the newest first."""
    with installation.user_session(read_only=True) as session:
        rows = [_row(entry) for entry in service.list_entries(session, slug=slug, limit=limit)]
    show_rows(rows, ("at", "actor", "action", "slug", "detail"), as_json=as_json)


def _row(entry: AuditEntry) -> dict[str, object]:
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "actor_id": entry.actor_id,
        "action": entry.action,
        "tenant_id": entry.tenant_id,
        "slug": entry.slug,
        "detail": entry.detail,
        "request_id": entry.request_id,
        "address": entry.address,
    }
