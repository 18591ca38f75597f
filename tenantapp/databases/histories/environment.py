"""Running Alembic: one command, one database after the other, and what ``env.py`` of both histories does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Lock
from types import CodeType
from typing import Any, Final, Literal, TypeVar

from alembic import context
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

import tenantapp.databases.histories.equal_structures  # noqa: F401 - autogenerate calls it
from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.errors import HistoryError, MigrationFailed
from tenantapp.databases.histories.command_line import command_line_target
from tenantapp.databases.histories.engine_classes import WATCH, extend_engine_class
from tenantapp.databases.histories.enums import ENUMS
from tenantapp.databases.histories.full_text import include_object
from tenantapp.databases.histories.histories import History, history_config
from tenantapp.databases.histories.progress import PER_REVISION, Progress
from tenantapp.databases.histories.targets import Target
from tenantapp.operations.errors import FleetError
from tenantapp.operations.outcomes import first_line
from tenantapp.sql.errors import SqlError
from tenantapp.sql.prepared import DRIVER_ERRORS
from tenantapp.sql.times import UtcDateTime
from tenantapp.tenancy.errors import TenancyError

Result = TypeVar("Result")
# Alembic keeps its environment and its operations in globals.
ONE_AT_A_TIME: Final = Lock()
PROGRAM: Final = "env.py"
MODULE: Final = "env_py"  # the name that Alembic gives the module
WAYS: Final = 128  # ways from one revision to another that are cached


def run_command(target: Target, command: Callable[[Config], Result]) -> Result:
    """Run an Alembic command on a database. Raises what ``migration_connection`` raises.

    Other errors of Alembic, such as a revision that is not in the history, become ``MigrationFailed``.
    """
    config = history_config(target.settings, target.history)
    config.attributes["target"] = target
    with alembic_at_work(target):
        return command(config)


@contextmanager
def alembic_at_work(target: Target) -> Iterator[None]:
    """Let only one thread of this process run Alembic at a time. Alembic's errors become ``MigrationFailed``.

    So do the driver's own, which a revision gets that uses the driver's cursor.
    """
    try:
        with ONE_AT_A_TIME:
            yield
    except CommandError as error:
        raise MigrationFailed(target.name, str(error).rstrip(".")) from error
    except DRIVER_ERRORS as error:
        raise MigrationFailed(target.name, first_line(error)) from error


class RepeatedEnvironment:
    """Migrates many databases along a history whose files are read only once.

    Like Alembic's own commands, it runs ``env.py`` and the revisions for each database. Those commands also read the
    files each time, which takes longer than adding a column. Raises ``HistoryError``.
    """

    def __init__(self, config: Config, script: ScriptDirectory) -> None:
        self._config, self._script = config, script
        self._program = _program_of(Path(script.dir) / PROGRAM)
        self._steps = lru_cache(WAYS)(self._find_steps)

    def move(self, target: Target, revision: str, *, down: bool) -> None:
        """Migrate a database up or down to a revision. Raises what ``run_command`` raises."""

        def steps(found: Any, context: Any) -> Any:
            return self._steps(found, revision, down)

        self._config.attributes["target"] = target
        with (
            alembic_at_work(target),
            EnvironmentContext(self._config, self._script, fn=steps, destination_rev=revision),
        ):
            self._run_program()

    def _run_program(self) -> None:
        spec, code = self._program
        exec(code, vars(module_from_spec(spec)))  # noqa: S102 - it is what runs migrations

    def _find_steps(self, found: Any, revision: str, down: bool) -> Any:
        script = self._script
        return script._downgrade_revs(revision, found) if down else script._upgrade_revs(revision, found)


def _program_of(path: Path) -> tuple[Any, CodeType]:
    spec: Any = spec_from_file_location(MODULE, path)
    try:
        return spec, spec.loader.get_code(MODULE)
    except (OSError, SyntaxError) as error:
        raise HistoryError(f"The tenant history cannot be used: {error}.") from error


def run_environment(history: History) -> None:
    """Run the present command on its target, or on the database that Alembic's command line names.

    Raises what ``migration_connection`` raises; on the command line Alembic's ``CommandError`` instead.
    """
    target: Target | None = context.config.attributes.get("target")
    if target is not None:
        _run(target)
        return
    target = command_line_target(history, context.config, context.get_x_argument(as_dictionary=True))
    try:
        _run(target)
    except (FleetError, SqlError, TenancyError) as error:
        raise CommandError(str(error)) from error


def _run(target: Target) -> None:
    if context.is_offline_mode():
        _configure(target, dialect_name=target.url.get_backend_name(), literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    with migration_connection(target.url, target.name, target.limits) as connection:
        extend_engine_class(connection.dialect)
        watch = None if target.watch is None else target.watch(connection)
        _configure(target, connection=connection, **{WATCH: watch, ENUMS: target.enums})
        progress = Progress(target, connection, context.get_context(), watch)
        with progress.explained(), context.begin_transaction():
            context.run_migrations()
            progress.check()
            revision = progress.reached
    if target.record is not None:
        target.record(revision)


def _configure(target: Target, **options: Any) -> None:
    context.configure(
        target_metadata=target.metadata,
        # SQLite can alter most of a table only by rebuilding it. PostgreSQL accepts the same form, so a revision works
        # on both engines.
        render_as_batch=True,
        # Both engines can roll DDL back. Alembic assumes that SQLite cannot.
        transactional_ddl=True,
        transaction_per_migration=target.settings.migrations_transaction == PER_REVISION,
        render_item=_render_item,
        include_object=include_object,
        **options,
    )


def _render_item(kind: str, item: Any, autogen_context: Any) -> str | Literal[False]:
    # A migration must keep its meaning when our class changes.
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False
