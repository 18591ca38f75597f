"""The one database that is not a tenant's."""

from functools import partial

from sqlalchemy.engine import URL

from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.engines import make_engine
from tenantapp.tenancy.errors import UserDatabaseUnavailable
from tenantapp.tenancy.servers import database_url


def user_database(url: URL, *, autocommit: bool = False, pool_timeout: float = 2.0) -> DBFactory:
    """The factory of the user database at this URL of the settings; the other parameters are ``make_engine``'s."""
    return DBFactory(
        partial(
            make_engine,
            database_url(url),
            unavailable=UserDatabaseUnavailable,
            autocommit=autocommit,
            pool_timeout=pool_timeout,
        )
    )
