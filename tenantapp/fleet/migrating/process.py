"""A process that migrates one tenant after the other, as it is told to."""

import gc
import logging
import os
import signal
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Event
from typing import Final

from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.closing.fence import fence_database
from tenantapp.fleet.migrating import ledger
from tenantapp.fleet.migrating.fenced_move import TenantWorker
from tenantapp.fleet.migrating.migrator import TenantMigrator
from tenantapp.fleet.migrating.orders import Order
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.tenancy.servers import Servers

log = logging.getLogger(__name__)
LOOK_EVERY: Final = 1.0  # seconds between two looks whether whoever tells us is still there


def work(settings: Settings, history: TenantHistory | None, orders: Pipe, stop: Event, parent: int, owner: str) -> None:
    """Carry out the orders that come through the pipe, and answer each with a ``Result``, until ``None`` comes.

    Once ``stop`` is set those that are not begun are given back. Also ends, after the tenant under way, when the
    process ``parent`` has ended. The tenants are claimed by ``owner``.
    """
    # Ctrl-C reaches all processes of a terminal; the parent tells us when to stop, and is told how far we came.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # What is there now stays: looking through all of it again and again would take a third of our time.
    gc.freeze()
    user_db = fence_database(settings)
    fleet = Fleet(user_db, settings, Servers(settings.servers, settings.tenancy_secret))

    def is_claimed(order: Order) -> bool:
        with user_db.begin(read_only=True) as session:
            return ledger.is_claimed(session, owner, order.tenant_id)

    worker = TenantWorker(user_db, TenantMigrator(fleet, history or TenantHistory(settings)), is_claimed)
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
