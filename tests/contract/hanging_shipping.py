"""A process that ships and hangs at a point that it is told, to be killed there: see ``hanging``."""

import json

from tenantapp.fleet.archives.shipping import Shipper
from tenantapp.operations.fleet import fleet_of
from tenantapp.settings import read_settings
from tests.contract.hanging import hang_at


def main(values: str, point: str) -> None:
    """Ship what has changed, up to the point."""
    settings = read_settings(json.loads(values), {})
    hang_at(point)
    Shipper(fleet_of(settings)).ship()
