"""What work on the fleet is given."""

from dataclasses import dataclass

from tenantapp.settings import Settings
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.servers import Servers


@dataclass(frozen=True, slots=True)
class Fleet:
    """The user database, which knows the tenants, and the servers that hold their databases."""

    user_db: DBFactory
    settings: Settings
    servers: Servers
