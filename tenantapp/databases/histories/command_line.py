"""Which database Alembic's own command works on: ``alembic -c FILE -n user|tenant [-x tenant=SLUG] COMMAND``."""

from collections.abc import Mapping
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from tenantapp.configuration import read_configuration
from tenantapp.databases.errors import HistoryError
from tenantapp.databases.histories.histories import History, script_directory
from tenantapp.databases.histories.targets import Target, tenant_target, user_target
from tenantapp.databases.histories.user_database import make_user_database
from tenantapp.identity.errors import IdentityError
from tenantapp.identity.tenants import get_tenant, place_of
from tenantapp.ini_files import ini_loader
from tenantapp.operations.errors import FleetError
from tenantapp.operations.fleet import Fleet, opened_fleet
from tenantapp.settings import Settings, SettingsError
from tenantapp.sql.errors import SqlError
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import TenancyError, UserDatabaseUnavailable


def command_line_target(history: History, config: Config, arguments: Mapping[str, object]) -> Target:
    """Return the database to work on. ``arguments`` are those of ``-x``. Raises Alembic's ``CommandError``."""
    try:
        settings = _read_settings(config)
        _check_location(settings, history, config)
        if history == "user":
            make_user_database(settings)
            return user_target(settings)
        with opened_fleet(settings) as fleet:
            return tenant_target(fleet, _find_tenant(fleet, arguments.get("tenant")), record=True)
    except (FleetError, IdentityError, SqlError, TenancyError, SettingsError) as error:
        raise CommandError(str(error)) from error


def _read_settings(config: Config) -> Settings:
    path = config.config_file_name
    if path is None:
        raise CommandError("Name the ini file of the application: alembic -c FILE.")
    ini_loader(path).setup_logging()
    return read_configuration(Path(path)).settings


def _check_location(settings: Settings, history: History, config: Config) -> None:
    """Raise ``HistoryError`` if the section's history is not that of the setting.

    Otherwise tenants would be made by one history and migrated by another.
    """
    ours, theirs = script_directory(settings, history).dir, ScriptDirectory.from_config(config).dir
    if Path(ours).resolve() != Path(theirs).resolve():
        raise HistoryError(
            f"The section [{history}] is about another history than the setting migrations.{history}: "
            f"{theirs} instead of {ours}."
        )


def _find_tenant(fleet: Fleet, slug: object) -> TenantPlace:
    if not isinstance(slug, str) or not slug:
        raise CommandError("Say which tenant's database is meant: alembic -c FILE -n tenant -x tenant=SLUG COMMAND.")
    try:
        with fleet.user_db.begin(read_only=True) as session:
            return place_of(get_tenant(session, slug))
    except (UserDatabaseUnavailable, DBAPIError) as error:
        raise CommandError("The user database does not answer or has no tables yet; upgrade it first.") from error
