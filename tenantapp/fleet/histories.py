"""The two migration histories, and the models each of them is to arrive at."""

from argparse import Namespace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Literal

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import MetaData

import tenantapp.fleet.models
import tenantapp.fleet.operations.models  # noqa: F401 - their tables are in the user database
from tenantapp.fleet.errors import HistoryError
from tenantapp.identity.models import UserBase
from tenantapp.settings import Settings
from tenantapp.tenancy.models import TenantBase

History = Literal["user", "tenant"]


def script_location(settings: Settings, history: History) -> str:
    """Where a history is: what its setting says (a path, or ``package:path``), or else the bundled one."""
    chosen = settings.migrations_user if history == "user" else settings.migrations_tenant
    return str(bundled(history)) if chosen is None else chosen


def bundled(history: History) -> Path:
    """The history that comes with tenantapp: in the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "migrations" / history
    return installed if installed.is_dir() else package.parent / "alembic" / history


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


def head_revision(settings: Settings, history: History, script: ScriptDirectory | None = None) -> str:
    """The newest revision of a history. Raises ``HistoryError`` when there is none, or more than one."""
    heads = (script or script_directory(settings, history)).get_heads()
    if len(heads) != 1:
        raise HistoryError(f"The {history} history has {len(heads) or 'no'} newest revisions, where there must be one.")
    return heads[0]


def metadata_of(settings: Settings, history: History) -> MetaData:
    """The tables a history is to make. Raises ``HistoryError``."""
    return UserBase.metadata if history == "user" else tenant_metadata(settings)


def tenant_metadata(settings: Settings) -> MetaData:
    """The tables of a tenant database: ours, and those of the domain's models. Raises ``HistoryError``."""
    domain = settings.tenantapp_domain
    package = import_module(domain)
    modules = [found.name for found in iter_modules(getattr(package, "__path__", ())) if holds_models(found.name)]
    if not modules:
        raise HistoryError(f"The domain's models are missing: there is no module {domain}.models.")
    for name in modules:
        import_module(f"{domain}.{name}")
    return TenantBase.metadata


def holds_models(module: str) -> bool:
    """Whether a module of a domain is taken to define models: ``models``, and for instance ``invoice_models``."""
    return module == "models" or module.endswith("_models")
