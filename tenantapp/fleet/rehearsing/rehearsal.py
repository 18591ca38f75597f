"""Rehearse a migration: run it on branches of some tenants, and measure what it keeps others from.

A branch on which it goes well is removed at once. Any other stays for a day, so that people can look at it. If the
process dies, its branches expire too.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.databases.connections.held_locks import HeldLock, locks_watched
from tenantapp.fleet.copying.clone import CLONE
from tenantapp.fleet.copying.requests import request_clone
from tenantapp.fleet.migrating.kind import MIGRATE, request_migration
from tenantapp.fleet.migrating.orders import MigrationOrder, MigrationResult, MigrationState
from tenantapp.fleet.migrating.plan import MigrationPlan
from tenantapp.fleet.migrating.rehearsals import Rehearsal, RehearsalState
from tenantapp.fleet.rehearsing.choosing import Candidate, choose
from tenantapp.fleet.removing.deletion import DELETE, delete_later, request_purge
from tenantapp.fleet.verifying.verification import State, verify_migrated
from tenantapp.identity.models import SLUG_LENGTH
from tenantapp.identity.tenants import get_tenant, place_of
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.foreground import run_now
from tenantapp.operations.models import Operation
from tenantapp.operations.outcomes import sentence
from tenantapp.operations.queue import local_requester
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import UserDatabaseUnavailable

log = logging.getLogger(__name__)
EXPIRES_IN: Final = timedelta(days=1)


def rehearse(fleet: Fleet, plan: MigrationPlan, number: int, told: Callable[[Rehearsal], None]) -> None:
    """Rehearse a plan on this many of its tenants, one after the other. ``told`` is called with each result.

    Errors are part of the results. Raises ``UserDatabaseUnavailable``, and what ``choose`` raises. On an interrupt the
    branch under way stays until it expires.
    """
    for candidate in choose(fleet, plan.orders, number):
        told(_Trial(fleet, candidate).carry_out())


class _Trial:
    """The rehearsal on one tenant."""

    def __init__(self, fleet: Fleet, candidate: Candidate) -> None:
        self._fleet, self._order, self._by = fleet, candidate.order, local_requester()
        self._slug = f"rehearsal-{secrets.token_hex(4)}-{self._order.slug}"[:SLUG_LENGTH].rstrip("-")
        self._locks: list[HeldLock] = []
        self._duration: float | None = None
        order = self._order
        self._result = Rehearsal(
            order.slug, candidate.choice, candidate.size, order.found, order.wanted, RehearsalState.FAILED
        )

    def carry_out(self) -> Rehearsal:
        with self._reported("could not be copied"):
            self._make()
            self._result = replace(self._result, branch=self._slug)
        if self._result.branch is not None:
            self._try()
        return replace(self._result, duration=self._duration, locks=tuple(self._locks))

    def _try(self) -> None:
        with self._reported("was not migrated"):
            self._migrate()
            differences = self._verify()
            state = RehearsalState.DRIFTED if differences else RehearsalState.PASSED
            self._result = replace(self._result, state=state, error="; ".join(differences) or None)
        if self._result.state == RehearsalState.PASSED:
            self._remove()

    @contextmanager
    def _reported(self, what: str) -> Iterator[None]:
        try:
            yield
        except UserDatabaseUnavailable:
            raise
        except Exception as error:
            self._result = replace(self._result, error=f"It {what}: {sentence(error)}")

    def _make(self) -> None:
        def request(session: Session, *, operation_id: UUID | None = None) -> Operation:
            return request_clone(
                *(session, self._fleet, self._order.slug, self._slug),
                name=f"Rehearsal: {self._order.slug}",
                accept_drift=True,
                expires_in=EXPIRES_IN,
                rehearsal=True,
                requested_by=self._by,
                operation_id=operation_id,
            )

        run_now(self._fleet, {CLONE.name: CLONE}, request)

    def _migrate(self) -> None:
        def request(session: Session, *, operation_id: UUID | None = None) -> Operation:
            subject, wanted = (session, self._fleet, self._slug), self._order.wanted
            return request_migration(*subject, to=wanted, requested_by=self._by, operation_id=operation_id)

        place = self._place()
        server = self._fleet.servers[place.server]
        urls = server.tenant_url(place.database), server.own_url(place.database)
        with locks_watched(*urls, f"the database of {self._slug}") as self._locks:
            started = time.monotonic()
            try:
                run_now(self._fleet, {MIGRATE.name: MIGRATE}, request)
            finally:
                self._duration = time.monotonic() - started

    def _verify(self) -> list[str]:
        order = MigrationOrder(self._place().id, self._slug, self._order.found, self._order.wanted)
        migrated = MigrationResult(order, MigrationState.MIGRATED)
        verdicts = verify_migrated(self._fleet, [migrated], jobs=1)
        return [finding for verdict in verdicts if verdict.state != State.RIGHT for finding in verdict.findings]

    def _remove(self) -> None:
        def request(session: Session, *, operation_id: UUID | None = None) -> Operation:
            delete_later(session, self._slug, timedelta(0))
            subject = (session, self._fleet, self._slug)
            return request_purge(*subject, requested_by=self._by, copy=False, operation_id=operation_id)

        try:
            run_now(self._fleet, {DELETE.name: DELETE}, request)
        except UserDatabaseUnavailable:
            raise
        except Exception as error:
            log.warning("The branch %s is left to a worker: %s", self._slug, sentence(error))
        else:
            self._result = replace(self._result, branch=None)

    def _place(self) -> TenantPlace:
        with self._fleet.user_db.begin(read_only=True) as session:
            return place_of(get_tenant(session, self._slug))
