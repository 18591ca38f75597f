"""The factory of the user database."""

from functools import partial
from pathlib import Path

from sqlalchemy.engine import URL

from tenantapp.settings import SettingsError
from tenantapp.sql.commit_counts import what_is_lost
from tenantapp.sql.engines import PROBE_PAUSE, make_engine
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import USER_DATABASE_LOST, user_database_failed
from tenantapp.tenancy.servers import database_url, through


class UserDatabaseIncomplete(SettingsError):
    """The user database is a SQLite file that lacks commits. The message says what to do."""


def check_user_database(url: URL) -> None:
    """Raise ``UserDatabaseIncomplete`` if the user database is a SQLite file that lacks commits."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return
    lost = what_is_lost(Path(url.database))
    if lost is not None:
        raise UserDatabaseIncomplete(f"The user database is not complete: {lost}. {USER_DATABASE_LOST}")


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
