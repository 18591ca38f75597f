"""The factory of the user database."""

from functools import partial

from sqlalchemy.engine import URL

from tenantapp.sql.engines import PROBE_PAUSE, make_engine
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import user_database_failed
from tenantapp.tenancy.servers import database_url, through


def user_database(
    url: URL,
    *,
    pgbouncer: URL | None = None,
    autocommit: bool = False,
    pool_timeout: float = 2.0,
    probe_pause: float = PROBE_PAUSE,
) -> DBFactory:
    """Return the factory of the user database at this URL of the settings, through the PgBouncer if there is one.

    The other parameters are those of ``sql.engines.make_engine``.
    """
    return DBFactory(
        partial(
            make_engine,
            through(pgbouncer, database_url(url)),
            behind_pgbouncer=pgbouncer is not None,
            unavailable=user_database_failed,
            autocommit=autocommit,
            pool_timeout=pool_timeout,
            probe_pause=probe_pause,
        )
    )
