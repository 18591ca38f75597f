"""The two migration histories, and the models each of them is to arrive at."""

from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Literal

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import MetaData

from tenantapp.fleet.errors import HistoryError
from tenantapp.identity.models import UserBase
from tenantapp.settings import Settings
from tenantapp.tenancy.models import TenantBase

History = Literal["user", "tenant"]


def script_location(settings: Settings, history: History) -> str:
    """Where a history is: what its setting says (a path, or ``package:path``), or else the bundled one."""
    chosen = settings.migrations_user if history == "user" else settings.migrations_tenant
    if chosen is not None:
        return chosen
    package = Path(__file__).resolve().parent.parent
    installed = package / "migrations" / history
    return str(installed if installed.is_dir() else package.parent / "alembic" / history)


def history_config(settings: Settings, history: History) -> Config:
    """Alembic's configuration for a history, without any file. Alembic prints nothing under it."""
    config = Config(cmd_opts=Namespace(quiet=True))
    config.set_main_option("script_location", script_location(settings, history).replace("%", "%%"))
    return config


def script_directory(settings: Settings, history: History) -> ScriptDirectory:
    """Alembic's view of a history. Raises ``HistoryError`` when there is none."""
    try:
        return ScriptDirectory.from_config(history_config(settings, history))
    except (CommandError, ModuleNotFoundError) as error:
        raise HistoryError(f"The {history} history cannot be used: {str(error).rstrip('.')}.") from error


def head_revision(settings: Settings, history: History) -> str:
    """The newest revision of a history. Raises ``HistoryError`` when there is none, or more than one."""
    heads = script_directory(settings, history).get_heads()
    if len(heads) != 1:
        raise HistoryError(f"The {history} history has {len(heads) or 'no'} newest revisions, where there must be one.")
    return heads[0]


def metadata_of(settings: Settings, history: History) -> MetaData:
    """The tables a history is to make. Raises ``HistoryError``."""
    return UserBase.metadata if history == "user" else tenant_metadata(settings)


def models_module(settings: Settings, history: History) -> str:
    """The module that defines or imports every model of a history."""
    return UserBase.__module__ if history == "user" else f"{settings.tenantapp_domain}.models"


def tenant_metadata(settings: Settings) -> MetaData:
    """The tables of a tenant database: ours, and those of the domain's module ``models``. Raises ``HistoryError``."""
    module = models_module(settings, "tenant")
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        # A module that the domain itself misses is the builder's own mistake, best seen as it is.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise HistoryError(f"The domain's models are missing: there is no module {module}.") from error
    return TenantBase.metadata
