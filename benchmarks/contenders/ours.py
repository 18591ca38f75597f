"""tenantapp itself, in the environment the benchmarks run in."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders.contender import Contender, Prepared
from benchmarks.deployment import EngineName, deploy
from benchmarks.nodes import PAGE, TENANTS
from benchmarks.postgres import Postgres

NODES = f"/api/v1/nodes?limit={PAGE}"
SESSION = "/api/v1/session"


@dataclass(frozen=True)
class Tenantapp(Contender):
    """tenantapp on one of its engines."""

    engine: EngineName = "postgresql"
    request_log: bool = False

    def prepare(self, postgres: Postgres, directory: Path) -> Prepared:
        """Make its databases."""
        deployment = deploy(self.engine, directory / self.name, postgres, TENANTS)
        return Prepared(
            tuple(deployment.serve(request_log=self.request_log)),
            directory,
            directory / f"{self.name}.log",
            NODES,
            environment=deployment.environment,
            headers=deployment.headers(TENANTS[0]),
            stranger={"Cookie": f"tenantapp={deployment.stranger}"},
        )
