"""Alembic's environment, for one database after the other."""

from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any, Final

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from tenantapp.databases.errors import HistoryError
from tenantapp.databases.histories.environment import alembic_at_work
from tenantapp.databases.histories.targets import Target

PROGRAM: Final = "env.py"
MODULE: Final = "env_py"  # what Alembic calls it
WAYS: Final = 128  # from one revision to another, that are remembered


class RepeatedEnvironment:
    """Moves databases along a history whose files are read once for all of them.

    As under Alembic's own commands, ``env.py`` is run for each database, and so is what the revisions say. Those
    commands read the files for each, which takes longer than to add a column. Raises ``HistoryError``.
    """

    def __init__(self, config: Config, script: ScriptDirectory) -> None:
        self._config, self._script = config, script
        self._program = _program_of(Path(script.dir) / PROGRAM)
        self._steps = lru_cache(WAYS)(self._find_steps)

    def move(self, target: Target, revision: str, *, down: bool) -> None:
        """Move a database up or down to a revision. Raises what ``run_command`` does."""

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
