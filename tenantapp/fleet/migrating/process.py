"""A process that migrates one tenant after the other, as it is told to."""

import gc
import logging
import os
import signal
import time
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Event
from typing import Final
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from tenantapp.fleet.errors import DatabaseBusy, FleetError, MigrationRefused, PuttingBackFailed
from tenantapp.fleet.migrating.fence import Fenced, lower_fence, move_fence, raise_fence, record_revision
from tenantapp.fleet.migrating.orders import MigrationState, Order, Result
from tenantapp.fleet.migrating.revisions import TenantHistory
from tenantapp.fleet.migrating.tenant import TenantMigrator
from tenantapp.identity.errors import IdentityError
from tenantapp.settings import Settings
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenancyError
from tenantapp.tenancy.servers import Servers
from tenantapp.tenancy.times import utcnow
from tenantapp.tenancy.user_database import user_database

log = logging.getLogger(__name__)
LOOK_EVERY: Final = 1.0  # seconds between two looks whether whoever tells us is still there
ATTEMPTS: Final = 5  # to record something while the user database does not answer
ATTEMPT_EVERY: Final = 1.0  # seconds


def work(settings: Settings, history: TenantHistory | None, orders: Pipe, stop: Event, parent: int) -> None:
    """Carry out the orders that come through the pipe, and answer each with a ``Result``, until ``None`` comes.

    Once ``stop`` is set those that are not begun are given back. Also ends, after the tenant under way, when the
    process ``parent`` has ended.
    """
    # Ctrl-C reaches all processes of a terminal; the parent tells us when to stop, and is told how far we came.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # What is there now stays: looking through all of it again and again would take a third of our time.
    gc.freeze()
    user_db = fence_database(settings)
    servers = Servers(settings.servers, settings.tenancy_secret)
    worker = TenantWorker(user_db, TenantMigrator(settings, servers, history or TenantHistory(settings)))
    source = _Orders(orders, parent)
    order = source.wait()
    while order is not None:
        following = None if stop.is_set() else source.at_hand()
        try:
            orders.send(worker.give_back(order) if stop.is_set() else worker.carry_out(order, following))
        except BrokenPipeError:
            break
        order = following or source.wait()
    user_db.dispose()


class _Orders:
    """The orders that come through a pipe from a process that may end without saying so."""

    def __init__(self, pipe: Pipe, parent: int) -> None:
        self._pipe, self._parent = pipe, parent
        self._are_over = False

    def at_hand(self) -> Order | None:
        """The next order, if there is one already."""
        self._are_over = self._are_over or os.getppid() != self._parent
        if self._are_over or not self._pipe.poll():
            return None
        try:
            order: Order | None = self._pipe.recv()
        except EOFError:
            order = None
        self._are_over = order is None
        return order

    def wait(self) -> Order | None:
        """The next order, or None when there are to be no more."""
        while not self._are_over:
            order = self.at_hand()
            if order is not None or self._are_over:
                return order
            self._pipe.poll(LOOK_EVERY)
        return None


def fence_database(settings: Settings) -> DBFactory:
    """The user database, in autocommit.

    PostgreSQL need not wait for its disk: what a crash of it loses is a fence, or a revision that the next run finds
    out again.
    """
    url = settings.user_db_url
    if url.get_backend_name() == "postgresql":
        options = f"{url.query.get('options', '')} -c synchronous_commit=off"
        url = url.update_query_dict({"options": options.strip()})
    return user_database(url, autocommit=True)


class TenantWorker:
    """Keeps a tenant's people out, moves its database, and notes the revision."""

    def __init__(self, user_db: DBFactory, migrator: TenantMigrator) -> None:
        self._user_db, self._migrator = user_db, migrator
        self._fenced: dict[UUID, Fenced | None] = {}

    def carry_out(self, order: Order, following: Order | None = None) -> Result:
        """Migrate a tenant, and keep the people of the one that follows out. Nothing is raised but an exit."""
        started_at, started = utcnow(), time.monotonic()
        error: str | None = None
        try:
            state = self.migrate(order, following)
        except Exception as failure:
            state = MigrationState.BUSY if isinstance(failure, DatabaseBusy) else MigrationState.FAILED
            error = sentence(failure)
        return Result(order, state, error, started_at, time.monotonic() - started)

    def give_back(self, order: Order) -> Result:
        """Do not migrate it."""
        if self._fenced.pop(order.tenant_id, None) is not None:
            self._record(order, None, None)
        return Result(order, MigrationState.LEFT)

    def migrate(self, order: Order, following: Order | None = None) -> MigrationState:
        """The same; what goes wrong is raised. ``ALREADY_THERE`` if another has done it meanwhile.

        Raises ``MigrationRefused`` for a tenant that is not there any more, and what ``TenantMigrator.migrate`` does.
        """
        fenced = self._raise_fence(order)
        if fenced is None:
            raise MigrationRefused("The tenant is not there any more.")
        there = fenced.revision == order.wanted
        reached: str | None = order.wanted
        try:
            if not there:
                reached = self._migrator.migrate(order, fenced.place, fenced.revision, was_fenced=fenced.was_up)
        except PuttingBackFailed:
            # Better nobody than people in a database that may be half of something; the fence falls by itself.
            raise
        except BaseException:
            self._record(order, None, following)
            raise
        self._record(order, reached, following)
        return MigrationState.ALREADY_THERE if there else MigrationState.MIGRATED

    def _raise_fence(self, order: Order) -> Fenced | None:
        if order.tenant_id in self._fenced:
            return self._fenced.pop(order.tenant_id)
        with self._user_db.engine.connect() as connection:
            return raise_fence(connection, order.tenant_id, snapshot=order.snapshot)

    def _record(self, order: Order, reached: str | None, following: Order | None) -> None:
        for attempt in range(ATTEMPTS):
            try:
                with self._user_db.engine.connect() as connection:
                    if following is not None and not following.snapshot:
                        found = move_fence(connection, order.tenant_id, reached, following.tenant_id)
                        self._fenced[following.tenant_id] = found
                    elif reached is None:
                        lower_fence(connection, order.tenant_id)
                    else:
                        record_revision(connection, order.tenant_id, reached)
                return
            except (TenancyError, DBAPIError):
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(ATTEMPT_EVERY)


def sentence(error: Exception) -> str:
    """Why a migration failed, in words for the operator."""
    if isinstance(error, FleetError | TenancyError | IdentityError):
        return str(error)
    log.error("A migration failed.", exc_info=error)
    return f"{type(error).__name__}: {error}".strip().partition("\n")[0]
