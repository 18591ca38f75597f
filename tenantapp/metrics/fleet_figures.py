"""What the user database says of tenants, operations, migrations, backups and standbys, for Prometheus.

It is the same in every process, so it is read when somebody asks, and is in no process's files.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from time import monotonic
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from tenantapp.identity.models import Tenant
from tenantapp.identity.storage_quotas import count_filled
from tenantapp.operations.background import DATABASE_ERRORS
from tenantapp.operations.leases import LEASE, database_time
from tenantapp.operations.models import ACTIVE, Operation, OperationState, RecordedRun
from tenantapp.operations.replication import DISCONNECTED, standbys_by_server

log = logging.getLogger(__name__)

KEPT: Final = 10.0  # seconds for which figures are given again, whoever asks
BACKUPS_KEPT: Final = 300.0  # seconds; to find the last backup of every tenant takes longer
LISTED: Final = (OperationState.QUEUED, *ACTIVE, OperationState.FAILED)
BACKUP: Final = "backup"


@dataclass(frozen=True, slots=True)
class _Figures:
    tenants: dict[str, int] = field(default_factory=dict)
    migrating: int = 0
    operations: dict[tuple[str, str], int] = field(default_factory=dict)
    oldest_due: float = 0.0
    leases_over: int = 0
    migrated: dict[str, int] = field(default_factory=dict)
    standbys: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    storage_near: int = 0
    storage_full: int = 0


@dataclass(frozen=True, slots=True)
class _Backups:
    oldest: float = 0.0
    without: int = 0


class FleetFigures(Collector):
    """Reads the figures. ``registry`` is that of the application."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._lock = Lock()
        self._read_at = self._backups_at = float("-inf")
        self._figures: _Figures | None = None
        self._backups = _Backups()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics. If the user database does not answer, that is all that is said."""
        with self._lock:
            now = monotonic()
            if now - self._read_at > KEPT:
                self._read()
                self._read_at = monotonic()
        yield GaugeMetricFamily(
            "tenantapp_user_database_up", "Whether the user database answers.", self._figures is not None
        )
        if self._figures is not None:
            yield from _metrics(self._figures, self._backups)

    def _read(self) -> None:
        """Read the figures as a request would, so that this waits no longer than one."""
        try:
            with self._registry.bulkhead.request(), self._registry.user_db.begin(read_only=True) as session:
                self._figures = _figures(session, self._registry.app_settings.quotas_storage)
        except DATABASE_ERRORS:
            self._figures = None
            return
        if monotonic() - self._backups_at > BACKUPS_KEPT:
            self._read_backups()
            self._backups_at = monotonic()  # also if it took too long: nobody is helped if it is asked for all the time

    def _read_backups(self) -> None:
        try:
            with self._registry.bulkhead.request(), self._registry.user_db.begin(read_only=True) as session:
                self._backups = _backups(session)
        except DATABASE_ERRORS as error:
            log.warning("The figures of backups are not known for now: %s", error)


def _figures(session: Session, storage_quota: int | None) -> _Figures:
    now = database_time(session)
    near, full = count_filled(session, storage_quota)
    due = Operation.state == OperationState.QUEUED, or_(Operation.lease_until.is_(None), Operation.lease_until <= now)
    over = Operation.state.in_(ACTIVE), Operation.lease_until < now
    by_state = select(Tenant.state, func.count())
    counts = select(Operation.kind, Operation.state, func.count()).where(Operation.state.in_(LISTED))
    return _Figures(
        tenants=dict(session.execute(by_state.group_by(Tenant.state)).all()),
        migrating=_count(session, Tenant.migrating_until > now),
        operations={
            (kind, state): number
            for kind, state, number in session.execute(counts.group_by(Operation.kind, Operation.state))
        },
        oldest_due=_age(now, session.scalar(select(func.min(Operation.created_at)).where(*due))),
        leases_over=_count(session, *over),
        migrated=_migrated(session, now),
        standbys=standbys_by_server(session),
        storage_near=near,
        storage_full=full,
    )


def _migrated(session: Session, now: datetime) -> dict[str, int]:
    """Return how far the runs of migrations are that are under way."""
    runs = select(RecordedRun.stages).where(RecordedRun.ended_at.is_(None), RecordedRun.seen_at > now - LEASE)
    stages = [stage for found in session.scalars(runs) for stage in found]
    total = {key: sum(stage[key] for stage in stages) for key in ("tenants", "done", "failed")}
    return {
        "waiting": total["tenants"] - total["done"],
        "migrated": total["done"] - total["failed"],
        "failed": total["failed"],
    }


def _backups(session: Session) -> _Backups:
    # One look into an index for each tenant. To group all backups takes minutes where they are kept for long.
    last = (
        select(Operation.finished_at)
        .where(Operation.tenant_id == Tenant.id)
        .where(Operation.kind == BACKUP, Operation.state == OperationState.SUCCEEDED)
        .order_by(Operation.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    # Without OFFSET, PostgreSQL would look twice, once for each function below.
    each = select(last.label("at")).where(Tenant.is_served).offset(0).subquery()
    found = select(func.min(each.c.at), func.count() - func.count(each.c.at)).select_from(each)
    oldest, without = session.execute(found).one()
    return _Backups(_age(database_time(session), oldest), without)


def _count(session: Session, *conditions: Any) -> int:
    return session.scalar(select(func.count()).where(*conditions)) or 0


def _age(now: datetime, then: datetime | None) -> float:
    return 0.0 if then is None else max(0.0, (now - then).total_seconds())


def _metrics(figures: _Figures, backups: _Backups) -> Iterator[Metric]:
    tenants = GaugeMetricFamily("tenantapp_tenants", "Tenants by state.", labels=["state"])
    for state, number in figures.tenants.items():
        tenants.add_metric([state], number)
    yield tenants
    yield GaugeMetricFamily(
        "tenantapp_tenants_storage_near", "Tenants that use 80 % of their storage or more.", figures.storage_near
    )
    yield GaugeMetricFamily(
        "tenantapp_tenants_storage_full", "Tenants that use all of their storage.", figures.storage_full
    )
    yield GaugeMetricFamily("tenantapp_tenants_migrating", "Tenants that are being migrated.", figures.migrating)
    operations = GaugeMetricFamily(
        "tenantapp_operations", "Operations that are not finished, or failed.", labels=["kind", "state"]
    )
    for (kind, state), number in figures.operations.items():
        operations.add_metric([kind, state], number)
    yield operations
    yield GaugeMetricFamily(
        "tenantapp_operations_oldest_due_seconds",
        "How long the oldest operation has been queued that a worker could begin.",
        figures.oldest_due,
    )
    yield GaugeMetricFamily(
        "tenantapp_operations_leases_over", "Operations whose worker has died or hangs.", figures.leases_over
    )
    migrated = GaugeMetricFamily(
        "tenantapp_migration_tenants", "Tenants in the runs of migrations that are under way.", labels=["state"]
    )
    for state, number in figures.migrated.items():
        migrated.add_metric([state], number)
    yield migrated
    yield from _replication(figures.standbys)
    yield GaugeMetricFamily(
        "tenantapp_backups_oldest_seconds",
        "Age of the last backup of the tenant that was not backed up for the longest time.",
        backups.oldest,
    )
    yield GaugeMetricFamily("tenantapp_tenants_without_backup", "Tenants that have no known backup.", backups.without)


def _replication(servers: dict[str, list[dict[str, Any]]]) -> Iterator[Metric]:
    connected = GaugeMetricFamily(
        "tenantapp_replication_standbys", "Standbys that are connected to a server.", labels=["server"]
    )
    labels = ["server", "standby"]
    size = GaugeMetricFamily(
        "tenantapp_replication_lag_bytes", "Log that a standby has not replayed, as its primary sees it.", labels=labels
    )
    time = GaugeMetricFamily(
        "tenantapp_replication_lag_seconds", "How long a standby is behind, as its primary sees it.", labels=labels
    )
    for server, standbys in servers.items():
        connected.add_metric([server], sum(standby["state"] != DISCONNECTED for standby in standbys))
        for family, figure in ((size, "bytes"), (time, "seconds")):
            for name, value in _worst(standbys, figure).items():
                family.add_metric([server, name], value)
    yield from (connected, size, time)


def _worst(standbys: list[dict[str, Any]], figure: str) -> dict[str, float]:
    """Return a figure by the standby's name. Of several with one name, the one that is furthest behind counts."""
    worst: dict[str, float] = {}
    for standby in standbys:
        if standby[figure] is not None:
            worst[standby["name"]] = max(worst.get(standby["name"], 0.0), standby[figure])
    return worst
