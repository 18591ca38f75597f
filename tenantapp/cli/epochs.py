"""The work of ``fleet new-epoch``."""

from collections.abc import Sequence

from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_rows
from tenantapp.identity.tenants import renew_epochs


def renew(installation: Installation, slugs: Sequence[str], server: str | None, as_json: bool) -> None:
    """Give tenants a new epoch, and print them. Raises ``NotFound``, and ``ServerError`` for an unknown server."""
    if server is not None:
        installation.fleet.servers.chosen(server)
    with installation.user_session() as session:
        rows = [
            {"tenant": tenant.slug, "epoch": tenant.epoch} for tenant in renew_epochs(session, slugs, server=server)
        ]
    show_rows(rows, ("tenant", "epoch"), as_json=as_json)
