"""What work on the fleet is given."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tenantapp.settings import Settings
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.servers import Servers
from tenantapp.tenancy.user_database import user_database


@dataclass(frozen=True, slots=True)
class Fleet:
    """The user database, which knows the tenants, the settings, and the servers that hold the tenants' databases."""

    user_db: DBFactory
    settings: Settings
    servers: Servers


def fleet_of(settings: Settings) -> Fleet:
    """The fleet of these settings, for a program without the application. Nothing connects yet."""
    return Fleet(user_database(settings.user_db_url), settings, Servers(settings.servers, settings.tenancy_secret))


@contextmanager
def opened_fleet(settings: Settings) -> Iterator[Fleet]:
    """The fleet of these settings; the connections to its user database are closed with the block."""
    fleet = fleet_of(settings)
    try:
        yield fleet
    finally:
        fleet.user_db.dispose()


def time_of_requests(settings: Settings) -> float:
    """How many seconds to wait for those who were let in before a tenant's people were kept out.

    Whoever waits for a connection is given one by then, or refused.
    """
    return settings.connections_timeout + settings.fleet_patience
