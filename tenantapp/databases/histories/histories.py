"""The two migration histories, and the models that each of them leads to."""

import hashlib
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, NamedTuple

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import MetaData
from sqlalchemy.engine import Connection

import tenantapp.audit.models
import tenantapp.credentials.models
import tenantapp.databases.models
import tenantapp.federation.models
import tenantapp.mail.outbox_models
import tenantapp.operations.models
import tenantapp.usage.models
import tenantapp.work.models
from tenantapp.databases.connections.maintenance_engines import schema_of
from tenantapp.databases.errors import HistoryError
from tenantapp.databases.histories.domain_models import import_models
from tenantapp.identity.models import UserBase
from tenantapp.settings import Settings
from tenantapp.tenancy.models import CORE_TABLES, TenantBase

History = Literal["user", "tenant"]


def script_location(settings: Settings, history: History) -> str:
    """Return where a history is: the value of its setting (a path, or ``package:path``), or else the bundled one."""
    chosen = settings.migrations_user if history == "user" else settings.migrations_tenant
    return str(bundled(history)) if chosen is None else chosen


def bundled(history: History) -> Path:
    """Return the path of the bundled history: in the installed package, or at the top of a checkout."""
    package = Path(tenantapp.__file__).resolve().parent
    installed = package / "migrations" / history
    return installed if installed.is_dir() else package.parent / "alembic" / history


def history_config(settings: Settings, history: History) -> Config:
    """Return Alembic's configuration for a history. It needs no file, and Alembic prints nothing under it."""
    config = Config(cmd_opts=Namespace(quiet=True))
    config.set_main_option("script_location", script_location(settings, history).replace("%", "%%"))
    return config


def script_directory(settings: Settings, history: History) -> ScriptDirectory:
    """Return Alembic's view of a history. Raises ``HistoryError`` if there is none."""
    try:
        return ScriptDirectory.from_config(history_config(settings, history))
    except (CommandError, ModuleNotFoundError) as error:
        raise HistoryError(f"The {history} history cannot be used: {str(error).rstrip('.')}.") from error


def head_revision(settings: Settings, history: History) -> str:
    """Return the newest revision of a history. Raises ``HistoryError`` if there is none, or more than one."""
    heads = history_digest(settings, history).heads
    if len(heads) != 1:
        raise HistoryError(f"The {history} history has {len(heads) or 'no'} newest revisions, where there must be one.")
    return heads[0]


def metadata_of(settings: Settings, history: History) -> MetaData:
    """Return the tables that a history leads to. Raises ``HistoryError``."""
    return UserBase.metadata if history == "user" else tenant_metadata(settings)


def tenant_metadata(settings: Settings) -> MetaData:
    """Return the tables of a tenant database: ours, and those of the domain's models. Raises ``HistoryError``."""
    import_models(settings.tenantapp_domain)
    return TenantBase.metadata


class HistoryDigest(NamedTuple):
    """The newest revisions, of which there should be one, all revisions, the core tables that no file names, a digest.

    A revision that makes a table names it. That is found without running the history, which takes seconds.
    """

    heads: tuple[str, ...]
    revisions: frozenset[str]
    unnamed_tables: tuple[str, ...]
    digest: str


_State = tuple[tuple[Path, int, int], ...]  # the files, their times and sizes
# By the location in the settings: asking Alembic for the files takes longer than looking at them.
_places: Final[dict[str, set[Path]]] = {}
_digests: Final[dict[str, tuple[_State, HistoryDigest]]] = {}


def history_digest(settings: Settings, history: History) -> HistoryDigest:
    """Return the digest of a history. The files are read again only if one has changed. Raises ``HistoryError``."""
    location = script_location(settings, history)
    if location not in _places:
        directory = script_directory(settings, history)
        _places[location] = {Path(directory.dir), *(Path(str(place)) for place in directory.version_locations or ())}
    files = sorted({file for place in _places[location] for file in place.rglob("*.py")})
    state = tuple((file, status.st_mtime_ns, status.st_size) for file in files for status in (file.stat(),))
    if location not in _digests or _digests[location][0] != state:
        _digests[location] = (state, _read(script_directory(settings, history), files))
    return _digests[location][1]


def _read(script: ScriptDirectory, files: Iterable[Path]) -> HistoryDigest:
    digest = hashlib.sha256()
    contents = {file: file.read_bytes() for file in files}
    for file, content in contents.items():
        digest.update(f"{file.name}\0".encode() + hashlib.sha256(content).digest())
    revisions = frozenset(found.revision for found in script.walk_revisions())
    unnamed = tuple(name for name in CORE_TABLES if not any(name.encode() in content for content in contents.values()))
    return HistoryDigest(tuple(script.get_heads()), revisions, unnamed, digest.hexdigest())


def heads_of(connection: Connection) -> tuple[str, ...]:
    """Return the revisions that a database records. Empty if it was never migrated."""
    options = {"version_table_schema": schema_of(connection)}
    return tuple(MigrationContext.configure(connection, opts=options).get_current_heads())
