"""A new revision of a history, written from the difference between models and history."""

import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast

from alembic import command
from alembic.config import Config
from alembic.script import Script

from tenantapp.databases.errors import NothingToRevise, RevisionRefused
from tenantapp.databases.histories.environment import run_command
from tenantapp.databases.histories.histories import History, head_revision, history_config, script_directory
from tenantapp.databases.histories.targets import Target
from tenantapp.databases.schemas.data_migrations import explain
from tenantapp.databases.schemas.effects import Effects
from tenantapp.databases.schemas.layout import laid_out
from tenantapp.databases.servers.scratch import scratch_database
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings

INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


def make_empty_revision(settings: Settings, history: History, message: str) -> Path:
    """Write a revision that does nothing yet, for a migration of data. It has a comment that says how to write one.

    No database is made or asked. Raises ``RevisionRefused``, and ``HistoryError`` if the history has no revision yet.
    """
    message = _check(settings, history, message)
    head_revision(settings, history)  # the structure comes first
    written = command.revision(history_config(settings, history), message)
    path = Path(cast("Script", written).path)
    explain(path)  # not formatted: Ruff would remove the imports, which are not used yet
    return path


def make_revision(fleet: Fleet, history: History, message: str) -> Path:
    """Write a revision with the difference between the models and what the history makes of an empty database.

    A person should read the file before it is used: Alembic cannot see that a column was renamed. Raises
    ``RevisionRefused``, ``NothingToRevise`` and what ``upgrade_tenant_database`` raises.
    """
    settings = fleet.settings
    message = _check(settings, history, message)
    with scratch_database(fleet, history) as url:
        target = Target(settings, history, "a scratch database", url, watch=Effects, enums={})
        run_command(target, partial(command.upgrade, revision="head"))
        path = run_command(target, partial(_write, message=message))
    if path is None:
        raise NothingToRevise("tenantapp.identity" if history == "user" else settings.tenantapp_domain)
    _format(path)
    return path


def _check(settings: Settings, history: History, message: str) -> str:
    """Return the message in one line. Raises ``RevisionRefused`` if a revision cannot be written."""
    if not message.strip():
        raise RevisionRefused("A revision needs a message that says what it changes.")
    _check_place(Path(script_directory(settings, history).dir), history)
    return " ".join(message.split())


def _check_place(location: Path, history: History) -> None:
    # A file in an installed package is lost at the next installation, and is in nobody's repository.
    if INSTALLED & set(location.resolve().parts):
        raise RevisionRefused(
            f"The {history} history is in an installed package, {location}; "
            f"set migrations.{history} to one among your own sources."
        )


def _write(config: Config, message: str) -> Path | None:
    written = command.revision(config, message, autogenerate=True, process_revision_directives=_leave_out_empty)
    return Path(written.path) if isinstance(written, Script) else None


def _leave_out_empty(context: Any, revision: Any, directives: list[Any]) -> None:
    if directives[0].upgrade_ops.is_empty():
        directives.clear()


def _format(path: Path) -> None:
    """Format by the rules of the project if Ruff is there, or else as Ruff does by ours."""
    if find_spec("ruff") is None:
        path.write_text(laid_out(path.read_text(encoding="utf-8")), encoding="utf-8")
        return
    for arguments in (("check", "--fix-only", "--exit-zero"), ("format",)):
        subprocess.run([sys.executable, "-m", "ruff", *arguments, "--quiet", "--no-cache", str(path)], check=True)  # noqa: S603
