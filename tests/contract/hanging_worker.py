"""A worker that hangs at a point that it is told, to be killed there: see ``hanging``."""

import json
from threading import Event

from tenantapp.fleet.kinds import KINDS
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.worker import Worker
from tenantapp.settings import read_settings
from tenantapp.tenancy.servers import Servers
from tenantapp.tenancy.user_database import user_database
from tests.contract.hanging import hang_at


def main(values: str, point: str) -> None:
    """Work on what is waiting, up to the point."""
    settings = read_settings(json.loads(values), {})
    hang_at(point)
    fleet = Fleet(user_database(settings.user_db_url), settings, Servers.of(settings))
    Worker(fleet, KINDS).run(Event(), until_idle=True)
