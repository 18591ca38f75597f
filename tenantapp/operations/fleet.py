"""What work on the fleet is given."""

from dataclasses import dataclass
from typing import Final

from tenantapp.settings import Settings
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.servers import Servers

REQUEST: Final = 1.0  # seconds that nearly every request takes less than


@dataclass(frozen=True, slots=True)
class Fleet:
    """The user database, which knows the tenants, and the servers that hold their databases."""

    user_db: DBFactory
    settings: Settings
    servers: Servers


def time_of_requests(settings: Settings) -> float:
    """How many seconds to wait for those who were let in before a tenant's people were kept out.

    Whoever waits for a connection is given one by then, or refused.
    """
    return settings.connections_timeout + REQUEST
