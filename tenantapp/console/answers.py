"""Tenants, operations and backups as the API shows them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from tenantapp.answers import Answer
from tenantapp.fleet.migrating.rehearsals import Choice, RehearsalState
from tenantapp.fleet.migrating.run_record import RunState, StoppedBy
from tenantapp.identity.models import TenantState
from tenantapp.operations.models import OperationState
from tenantapp.tenancy.models import JobState


class FleetTenant(Answer):
    """A tenant as operators see it. A deleted tenant can be brought back until ``purge_after``.

    A branch is deleted at ``expires_at``; for other tenants this is null.

    ``has_administrator`` says whether an enabled person who can sign in may manage its members.

    ``last_used_hour`` is the beginning of the last hour in which a request of the tenant was served, as far as usage is
    kept (``usage.keep``). Null: none was.

    ``storage_quota`` is the tenant's own, in bytes; null: that of the settings counts. ``storage_used`` is what was
    measured last; null: nothing was. With ``storage_full``, nothing can be added to the tenant's data.

    ``connection_quota`` is how many connections the tenant may have; null: that of the settings counts.
    """

    id: UUID
    slug: str
    name: str
    state: TenantState
    state_reason: str | None
    server: str
    database: str
    revision: str | None
    created_at: datetime
    purge_after: datetime | None
    expires_at: datetime | None
    storage_quota: int | None
    storage_used: int | None
    storage_full: bool
    connection_quota: int | None
    has_administrator: bool
    last_used_hour: datetime | None


class TenantSize(Answer):
    """The bytes that a tenant's database takes on its server's disk. Null: the server has no such database."""

    size: int | None


class Operation(Answer):
    """A long piece of work on a tenant, as the tenant's people see it. ``progress`` is from 0 to 1."""

    id: UUID
    kind: str
    state: OperationState
    progress: float = Field(ge=0, le=1)
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Export(Operation):
    """An export. ``size`` is in bytes; if it succeeded, its bundle can be fetched until ``kept_until``."""

    size: int | None
    kept_until: datetime | None


class FleetOperation(Operation):
    """A long piece of work, as operators see it. ``arguments`` and ``result`` depend on the kind.

    ``steps`` are those of the kind, in their order. ``step`` is the one that is being done or comes next. ``worker`` is
    the host and process that works on it; ``worker_gone`` says that it gave no sign of life for 30 seconds. A queued
    operation is not begun before ``due_at``; null means at once.
    """

    tenant_id: UUID | None
    slug: str | None
    steps: list[str]
    step: str | None
    progress_text: str | None
    arguments: dict[str, Any]
    result: dict[str, Any]
    error: str | None
    requested_by: str
    attempts: int
    due_at: datetime | None
    cancel_requested: bool
    worker: str | None
    worker_gone: bool


class Job(Answer):
    """A job of a tenant: work that was left for later. A failed one has the last ``error``.

    ``percent`` and ``progress_text`` are there while it runs. ``schedule`` is that of a periodic job, which waits for
    ``due_at`` again after each run. ``attempts`` counts how often it was begun, ``failures`` how often it was put off.
    """

    id: UUID
    name: str
    state: JobState
    due_at: datetime
    schedule: str | None
    arguments: dict[str, Any]
    attempts: int
    failures: int
    percent: int | None
    progress_text: str | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Backup(Answer):
    """A backup of a tenant. ``size`` is in bytes."""

    id: str
    created_at: datetime
    engine: Literal["sqlite", "postgresql"]
    revision: str
    size: int
    sha256: str


class NewerRows(Answer):
    """The number of rows of a table that were created, changed or deleted."""

    table: str
    rows: int


class NewerThanBackup(Answer):
    """What a restore in place would lose. ``last_at`` is the time of the last change, null if there is none.

    Only tables whose changes can be followed are counted. ``complete`` is false if there may be more changes.
    """

    backup: Backup
    tables: list[NewerRows]
    last_at: datetime | None
    complete: bool


class TenantStateCount(Answer):
    """The number of tenants in a state."""

    state: TenantState
    tenants: int


class FleetServer(Answer):
    """A server of the settings. ``tenants`` is the number of tenants on it, in any state.

    ``address`` is the host and port of a PostgreSQL server, or the directory of SQLite files.
    """

    name: str
    engine: Literal["sqlite", "postgresql"]
    address: str
    default: bool
    tenants: int
    states: list[TenantStateCount]


class AskedServer(FleetServer):
    """A server that was just asked. If it does not answer, ``failure`` says why."""

    answers: bool
    failure: str | None


class Finding(Answer):
    """Something that the user database and the servers disagree about."""

    problem: str
    server: str
    name: str
    id: UUID | None
    note: str | None


class RevisionCount(Answer):
    """The number of tenants at a revision."""

    revision: str | None
    tenants: int


class StateCount(Answer):
    """The number of tenants whose last migration is in a state. The state is null if they had none."""

    state: OperationState | None
    tenants: int


class FailedMigration(Answer):
    """The last migration of a tenant, which failed."""

    slug: str
    found: str | None = Field(alias="from")
    wanted: str | None = Field(alias="to")
    error: str | None
    started_at: datetime | None


class RunStage(Answer):
    """A part of a run: a wave, or the rest. ``done`` counts the tenants at the revision."""

    name: str
    tenants: int
    done: int
    failed: int


class RunPoint(Answer):
    """The number of tenants at the revision, so many seconds after the run began."""

    seconds: float
    done: int


class HeldLock(Answer):
    """What a migration kept others from, for how many seconds. ``table`` is null on SQLite: it is the database."""

    table: str | None
    mode: str
    keeps_from: str
    seconds: float


class Rehearsal(Answer):
    """A migration that was tried on a branch of a tenant. ``size`` is in bytes, ``duration`` in seconds.

    ``branch`` is the slug of the branch, if it was left so that people can look at it. It expires in a day.
    """

    tenant: str
    chosen: Choice
    size: int | None
    found: str | None = Field(alias="from")
    wanted: str = Field(alias="to")
    state: RehearsalState
    branch: str | None
    duration: float | None
    locks: list[HeldLock]
    error: str | None


class MigrationRun(Answer):
    """A run of ``tenantapp migrate``, as it was recorded at ``seen_at``.

    One that died gave no sign of life for 30 seconds, and its ``ended_at`` is the last one. ``stopped_by`` says why a
    run ended before all its tenants were tried. One without ``stages`` was to rehearse only.
    """

    id: UUID
    state: RunState
    to: str
    requested_by: str
    host: str
    jobs: int
    rehearsals: list[Rehearsal]
    stages: list[RunStage]
    points: list[RunPoint]
    started_at: datetime
    seen_at: datetime
    ended_at: datetime | None
    stopped_by: StoppedBy | None


class Migrations(Answer):
    """The state of the fleet's migration. ``head`` is the newest revision, ``run`` the run that was begun last."""

    head: str
    run: MigrationRun | None
    revisions: list[RevisionCount]
    states: list[StateCount]
    failures: list[FailedMigration]


class TenantRows(Answer):
    """What one tenant answered to a query. If it did not answer, ``failure`` has the reason."""

    tenant: str
    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    failure: str | None


class OwnAuditEntry(Answer):
    """An entry of the audit trail, as the administrators of the tenant see it. ``actor`` is null for operators.

    With ``impersonated``, an operator did it as the actor.
    """

    id: UUID
    at: datetime
    actor: str | None
    action: str
    detail: dict[str, Any]
    impersonated: bool


class AuditEntry(Answer):
    """An entry of the audit trail. ``detail`` depends on the action."""

    id: UUID
    at: datetime
    actor: str
    actor_id: UUID | None
    action: str
    tenant_id: UUID | None
    slug: str | None
    detail: dict[str, Any]
    request_id: str | None
    address: str | None
