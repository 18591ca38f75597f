"""The objects that all work on the fleet needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tenantapp.settings import Settings
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.servers import Servers
from tenantapp.tenancy.user_database import user_database


@dataclass(frozen=True, slots=True)
class Fleet:
    """The user database, the settings, and the servers that hold the tenant databases."""

    user_db: DBFactory
    settings: Settings
    servers: Servers


def fleet_of(settings: Settings) -> Fleet:
    """Return the fleet of these settings, for a program without the application. It opens no connection."""
    return Fleet(user_database(settings.user_db_url), settings, Servers(settings.servers, settings.tenancy_secret))


@contextmanager
def opened_fleet(settings: Settings) -> Iterator[Fleet]:
    """Yield the fleet of these settings. When the block ends, the connections to the user database are closed."""
    fleet = fleet_of(settings)
    try:
        yield fleet
    finally:
        fleet.user_db.dispose()


def time_of_requests(settings: Settings) -> float:
    """Return how many seconds to wait, after a fence goes up, for the requests that were let in before.

    A request that waits for a connection gets one within ``connections.timeout`` seconds, or is refused. It then has
    ``fleet.patience`` seconds to finish.
    """
    return settings.connections_timeout + settings.fleet_patience
