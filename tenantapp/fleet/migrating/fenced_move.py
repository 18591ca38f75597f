"""Migrating a database behind its fence: keep people out, migrate, record the revision, let people in."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from sqlalchemy.exc import DBAPIError

from tenantapp.databases.errors import DatabaseBusy, MigrationRefused, PuttingBackFailed
from tenantapp.fleet.closing.fence import (
    Fenced,
    fenced_since,
    has_copy_of_its_own,
    lower_fence,
    place_to_fence,
    raise_fence,
    record_revision,
)
from tenantapp.fleet.migrating.migrator import Migrator
from tenantapp.fleet.migrating.orders import MigrationOrder, MigrationResult, MigrationState
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.outcomes import is_expected, sentence
from tenantapp.sql.errors import SqlError
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenancyError

log = logging.getLogger(__name__)
ATTEMPTS: Final = 5  # attempts to record something while the user database does not answer
ATTEMPT_EVERY: Final = 1.0  # seconds


class FencedMove:
    """Keeps a tenant's people out, migrates its database, and records the revision.

    ``is_claimed`` says whether the process that gave the order still has the claim of the tenant.
    """

    def __init__(self, user_db: DBFactory, migrator: Migrator, is_claimed: Callable[[MigrationOrder], bool]) -> None:
        self._user_db, self._migrator, self._is_claimed = user_db, migrator, is_claimed

    def carry_out(self, order: MigrationOrder) -> MigrationResult:
        """Migrate a tenant and return the result. Errors are part of the result; only an exit is raised."""
        started_at, started = utcnow(), time.monotonic()
        error: str | None = None
        try:
            state = self.migrate(order)
        except Exception as failure:
            state = MigrationState.BUSY if isinstance(failure, DatabaseBusy) else MigrationState.FAILED
            error = sentence(failure).strip().partition("\n")[0]
            if not is_expected(failure):
                log.error("A migration failed.", exc_info=failure)
        return MigrationResult(order, state, error, started_at, time.monotonic() - started)

    def migrate(self, order: MigrationOrder) -> MigrationState:
        """Migrate a tenant. Return ``ALREADY_THERE`` if another process has done it meanwhile.

        Raises ``MigrationRefused`` if the tenant is gone, and what ``Migrator.migrate`` raises.
        """
        begin = self._with_copy if order.snapshot else self._raise_fence
        fenced = begin(order)
        if fenced is None:
            raise MigrationRefused("The tenant does not exist any more.")
        there = fenced.revision == order.wanted
        reached: list[str | None] = [order.wanted] if there else []
        try:
            if not there:
                may_put_back = partial(self._may_put_back, order)
                self._migrator.migrate(order, fenced.place, fenced.revision, may_put_back, reached.append)
        except PuttingBackFailed:
            # The database may be half migrated, so keep the fence up. It falls when its time has passed.
            raise
        except BaseException:
            self._record(order, reached)
            raise
        self._record(order, reached)
        return MigrationState.ALREADY_THERE if there else MigrationState.MIGRATED

    def _raise_fence(self, order: MigrationOrder) -> Fenced | None:
        with self._user_db.engine.connect() as connection:
            return raise_fence(connection, order.tenant_id, snapshot=order.snapshot, changes=True)

    def _with_copy(self, order: MigrationOrder) -> Fenced | None:
        """Raise the fence, so that nobody writes after a copy that exists behind it was made.

        A copy of an earlier attempt may be put back only if its fence has never fallen. Otherwise it is removed before
        the fence is raised again. A copy is also removed if the fence belongs to a process that has made no copy.
        """
        with self._user_db.engine.connect() as connection:
            begins = not has_copy_of_its_own(connection, order.tenant_id)
            place = place_to_fence(connection, order.tenant_id)
        if place is None:
            return None
        if begins:
            self._migrator.forget_copy(place)
        fenced = self._raise_fence(order)
        if begins:
            self._migrator.let_requests_end()
        return fenced

    def _may_put_back(self, order: MigrationOrder) -> bool:
        """Return whether nobody was served, and no other process has taken over, since the copy was made.

        Return False if the user database does not answer.
        """
        try:
            with self._user_db.engine.connect() as connection:
                is_fenced = fenced_since(connection, order.tenant_id) is not None
            return is_fenced and self._is_claimed(order)
        except (SqlError, TenancyError, DBAPIError):
            return False

    @checkpoint("migration.record")
    def _record(self, order: MigrationOrder, reached: Sequence[str | None]) -> None:
        for attempt in range(ATTEMPTS):
            try:
                with self._user_db.engine.connect() as connection:
                    if reached:
                        record_revision(connection, order.tenant_id, reached[-1])
                    else:
                        lower_fence(connection, order.tenant_id, changed=True)
                return
            except (SqlError, TenancyError, DBAPIError):
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(ATTEMPT_EVERY)
