"""A fleet of many tenants, and histories to migrate them along."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, select
from sqlalchemy.engine import URL, Connection
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from tenantapp.databases.histories.histories import bundled, head_revision
from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.migrating.ledger import settle
from tenantapp.fleet.migrating.orders import MigrationResult
from tenantapp.fleet.migrating.plan import make_plan
from tenantapp.fleet.migrating.run import MigrationRun
from tenantapp.fleet.migrating.run_record import RunStatus, latest_run
from tenantapp.fleet.rehearsing import rehearsal
from tenantapp.identity.models import Tenant
from tenantapp.operations.fleet import Fleet as Services
from tenantapp.operations.models import Operation
from tenantapp.settings import Settings
from tests.contract.conftest import Fleet
from tests.contract.forks import Program

FIRST, SECOND = "feedc0de0001", "feedc0de0002"
REVISION = """
import sqlalchemy as sa
from alembic import op
{imports}

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    {downgrade}
"""
ADD = 'op.add_column("nodes", sa.Column("more", sa.Integer))'
REMOVE = 'op.drop_column("nodes", "more")'


class Yard:
    """A fleet of tenants that are copies of one another, and what is done to them."""

    def __init__(self, fleet: Fleet, count: int) -> None:
        self.fleet = fleet
        fleet.initialised()
        self.places = [fleet.create(f"t{number:02}") for number in range(count)]
        self.head = head_revision(fleet.settings, "tenant")
        self.history = fleet.directory / "history"
        shutil.copytree(bundled("tenant"), self.history, ignore=shutil.ignore_patterns("__pycache__"))
        self.settings: Settings = replace(
            fleet.settings,
            migrations_tenant=str(self.history),
            migrations_lock_timeout=0.3,
        )

    def add_revision(
        self,
        upgrade: str = ADD,
        downgrade: str = REMOVE,
        *,
        revision: str = FIRST,
        before: str | None = None,
        imports: str = "",
    ) -> None:
        """Write one more revision into the history."""
        text = REVISION.format(
            revision=revision, before=before or self.head, upgrade=upgrade, downgrade=downgrade, imports=imports
        )
        (self.history / "versions" / f"{revision}_more.py").write_text(text)

    @property
    def services(self) -> Services:
        return Services(self.fleet.user_db, self.settings, self.fleet.servers)

    def migrate(
        self,
        revision: str = "head",
        *,
        jobs: int = 2,
        waves: Sequence[int] = (),
        stop_after: int | None = None,
        rehearse: int | None = None,
        only_rehearse: bool = False,
        **wanted: Any,
    ) -> MigrationRun:
        """Make a plan and carry it out."""
        self.told: list[MigrationResult] = []
        history = TenantHistory(self.settings)
        with self.fleet.user_db.begin() as session:
            settle(session)
            plan = make_plan(session, history, revision, **wanted)
        how: dict[str, Any] = {"jobs": jobs, "waves": waves, "stop_after": stop_after}
        if rehearse is not None:
            trial = partial(rehearsal.rehearse, self.services, plan, rehearse)
            how |= {"rehearse": trial, "only_rehearse": only_rehearse}
        run = MigrationRun(self.services, history, plan, self.told.append, **how)
        run.carry_out()
        return run

    def ask(self, number: int, statement: str) -> list[Any]:
        """Ask a tenant's database, as the tenant."""
        return self.fleet.ask(statement, self.url(number))

    def url(self, number: int) -> Any:
        place = self.places[number]
        return self.fleet.servers[place.server].tenant_url(place.database)

    def has_column(self, number: int, column: str = "more") -> bool:
        if self.fleet.admin is None:
            return column in {row[1] for row in self.ask(number, "PRAGMA table_info(nodes)")}
        named = f"SELECT 1 FROM information_schema.columns WHERE table_name = 'nodes' AND column_name = '{column}'"
        return bool(self.ask(number, named))

    def revisions(self) -> dict[str, str | None]:
        with self.fleet.user_db.begin(read_only=True) as session:
            return dict(session.execute(select(Tenant.slug, Tenant.revision)).all())

    def epochs(self) -> list[str | None]:
        """Of the tenants, in their order."""
        with self.fleet.user_db.begin(read_only=True) as session:
            return list(session.scalars(select(Tenant.epoch).order_by(Tenant.slug)))

    def recorded(self) -> RunStatus:
        """The record of the run that was begun last."""
        with self.fleet.user_db.begin(read_only=True) as session:
            run = latest_run(session)
        assert run is not None
        return run

    def fences(self) -> list[str]:
        """The tenants nobody is served of."""
        with self.fleet.user_db.begin(read_only=True) as session:
            return list(session.scalars(select(Tenant.slug).where(Tenant.migrating_until.is_not(None))))

    def ledger(self, session: Session | None = None) -> list[tuple[str, str]]:
        """Tenant and state of every row, by tenant and time."""
        with self.fleet.user_db.begin(read_only=True) as session:
            rows = session.execute(
                select(Operation.slug, Operation.state)
                .where(Operation.kind == "migrate")
                .order_by(Operation.slug, Operation.id)
            )
            return [(str(slug), state) for slug, state in rows]

    def ini(self) -> Path:
        """A configuration file for the command."""
        own = {"migrations.tenant": str(self.history), "migrations.lock_timeout": "0.3"}
        lines = [f"{name} = {value.replace('%', '%%')}" for name, value in (self.fleet.values | own).items()]
        path = self.fleet.directory / "fleet.ini"
        path.write_text("\n".join(["[app:main]", "use = egg:tenantapp", *lines]))
        return path

    def start(self, *arguments: str) -> Program:
        """Start ``tenantapp migrate``."""
        return Program("tests.contract.command", "--ini", str(self.ini()), "migrate", *arguments)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        return self.start(*arguments).end()


def lines_of(text: str) -> Sequence[dict[str, Any]]:
    """The JSON lines that a command printed."""
    return [json.loads(line) for line in text.splitlines()]


def connect(url: URL) -> Connection:
    """A connection that closes with its block."""
    return create_engine(url, poolclass=NullPool).connect()
