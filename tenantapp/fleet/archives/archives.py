"""The archives of the settings."""

from tenantapp.fleet.archives.accounts import account_for
from tenantapp.fleet.archives.archive import Archive, Still, unbroken
from tenantapp.fleet.archives.pgbackrest import PgBackRest
from tenantapp.fleet.errors import MomentRefused
from tenantapp.settings import Settings
from tenantapp.tenancy.servers import Server, SqliteServer


def check_archived(settings: Settings, server: Server) -> None:
    """Raise ``MomentRefused`` if the settings say nothing of an archive of this server, or of a place to restore it."""
    if isinstance(server, SqliteServer):
        if settings.backups_ship is None:
            raise MomentRefused("the setting backups.ship is missing: it says where SQLite databases are shipped")
        return
    if server.name not in settings.archives:
        raise MomentRefused(
            f"the setting servers.{server.name}.archive is missing: it says what archives the log of that server"
        )
    if settings.backups_clusters is None:
        raise MomentRefused("the setting backups.clusters is missing: it says where a server is restored")


def archive_of(settings: Settings, server: str, still: Still = unbroken) -> Archive:
    """Return the archive of a server that has one. It calls ``still`` while it is asked. Raises ``MomentRefused``."""
    archiver, name = settings.archives[server]
    account = account_for(settings)
    return {"pgbackrest": PgBackRest}[archiver](name, settings.backups_pgbackrest_config, account, still)
