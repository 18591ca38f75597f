"""The others: programs in environments of their own."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.contenders.contender import Broken, Contender, Prepared
from benchmarks.environments import CannotInstall, python_of
from benchmarks.nodes import TENANTS, nodes_of
from benchmarks.postgres import Postgres

HERE: Final = Path(__file__).parent


@dataclass(frozen=True)
class Program(Contender):
    """A program in the directory ``source``, started by ``command``; ``fill.py`` there makes its data.

    ``fill.py`` finds the nodes of all tenants in the file that the variable ``NODES`` names, PostgreSQL by libpq's
    variables, and empty ``databases``; its last line of output says how to ask, as JSON.
    """

    source: str
    command: tuple[str, ...]
    databases: tuple[str, ...] = ()

    def prepare(self, postgres: Postgres, directory: Path) -> Prepared:
        """Install what it needs, unless that was done before, and fill its databases."""
        source = HERE / self.source
        try:
            python = python_of(source)
        except CannotInstall as error:
            raise Broken(f"cannot be installed: {error}") from error
        command = tuple(part.replace("{bin}", str(python.parent)) for part in self.command)
        for database in self.databases:
            postgres.create_database(database)
        how = self._fill(python, postgres, directory) if self.lists_nodes else {"path": "/session"}
        return Prepared(command, source, directory / f"{self.name}.log", environment=postgres.environment, **how)

    def _fill(self, python: Path, postgres: Postgres, directory: Path) -> dict[str, Any]:
        nodes = directory / "nodes.json"
        nodes.write_text(json.dumps({tenant: nodes_of(tenant) for tenant in TENANTS}))
        done = subprocess.run(
            [str(python), "fill.py"],
            cwd=HERE / self.source,
            env={**os.environ, **postgres.environment, "NODES": str(nodes)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Broken(f"cannot be filled: {done.stderr[-1500:].strip()}")
        told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return told
