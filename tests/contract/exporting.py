"""A program that exports a tenant and hangs at a point that it is told, see ``hanging``, to be killed there."""

import json
from functools import partial

from tenantapp.fleet.backups.export_kind import request_export
from tenantapp.fleet.kinds import KINDS
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.foreground import run_now
from tenantapp.settings import read_settings
from tenantapp.tenancy.servers import Servers
from tenantapp.tenancy.user_database import user_database
from tests.contract.hanging import hang_at


def main(values: str, slug: str, point: str) -> None:
    """Export the tenant, up to the point."""
    settings = read_settings(json.loads(values), {})
    hang_at(point)
    servers = Servers.of(settings)
    fleet = Fleet(user_database(settings.user_db_url), settings, servers)
    run_now(
        fleet,
        KINDS,
        partial(request_export, fleet=fleet, slug=slug, requested_by="ada"),
    )
