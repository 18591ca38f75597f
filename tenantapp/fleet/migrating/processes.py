"""The processes that migrate, and how the run that gives them orders sees them."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.synchronize import Event
from typing import Any, Final

from tenantapp.databases.histories.histories import tenant_metadata
from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.closing.fence import fence_database
from tenantapp.fleet.migrating import ledger
from tenantapp.fleet.migrating.fenced_move import FencedMove
from tenantapp.fleet.migrating.migrator import Migrator
from tenantapp.fleet.migrating.orders import MigrationOrder, MigrationResult, MigrationState
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.sql import silence
from tenantapp.tenancy.servers import Servers

DIED: Final = "The process that migrated it ended unexpectedly."
LOOK_EVERY: Final = 1.0  # seconds between two checks whether the parent process lives


class Crew:
    """As many processes as there are jobs. A process that died is replaced.

    Raises ``HistoryError`` if the domain has no models.
    """

    def __init__(self, settings: Settings, history: TenantHistory, owner: str, jobs: int) -> None:
        self._settings, self._history, self._owner = settings, history, owner
        tenant_metadata(settings)  # imports the domain's models once, not in each process that is forked
        self._members = [_Process(settings, history, owner) for _ in range(jobs)]

    @property
    def at_work(self) -> list[MigrationOrder]:
        """Return the orders that the processes have: those under way and those after them."""
        return [order for member in self._members for order in member.orders]

    def room(self, *, ahead: int) -> int:
        """Return how many more orders fit, if each process may have ``ahead`` beyond the one under way."""
        return sum(max(0, 1 + ahead - len(member.orders)) for member in self._members)

    def give(self, order: MigrationOrder) -> None:
        """Give an order to the process with the fewest orders."""
        min(self._members, key=lambda member: len(member.orders)).give(order)

    def results(self, timeout: float) -> list[MigrationResult]:
        """Return the results that have come in. Wait for them for at most ``timeout`` seconds."""
        ready: Sequence[object] = wait([member.pipe for member in self._members], timeout)
        found = []
        for number, member in enumerate(self._members):
            if member.pipe in ready:
                results, lives = member.take()
                found += results
                if not lives:
                    self._members[number] = _Process(self._settings, self._history, self._owner)
        return found

    def stop(self) -> None:
        """Make all processes give back the orders that they have not begun."""
        for member in self._members:
            member.stop()

    def end(self) -> None:
        """Wait until all processes have ended, each after the orders it has."""
        for member in self._members:
            member.end()


class _Process:
    """One process and its orders: the one under way, and those after it."""

    def __init__(self, settings: Settings, history: TenantHistory, owner: str) -> None:
        # A forked process has all modules imported already. But a lock held by another thread of ours would stay locked
        # in it.
        silence.watch.stop()
        forks = sys.platform == "linux" and threading.active_count() == 1
        context: Any = get_context("fork" if forks else "spawn")
        self._stop = context.Event()
        self._pipe: Pipe
        self._pipe, theirs = context.Pipe()
        arguments = (settings, history if forks else None, theirs, self._stop, os.getpid(), owner)
        self._process = context.Process(target=work, args=arguments)
        self._process.start()
        theirs.close()
        self.orders: list[MigrationOrder] = []

    @property
    def pipe(self) -> Pipe:
        return self._pipe

    def give(self, order: MigrationOrder) -> None:
        """Send the process an order, to carry out after those it has."""
        self.orders.append(order)
        # If the process is dead, ``take`` finds out.
        with suppress(BrokenPipeError):
            self._pipe.send(order)

    def take(self) -> tuple[list[MigrationResult], bool]:
        """Return results, once the pipe can be read, and whether the process is still alive."""
        try:
            result: MigrationResult = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            not_begun = [MigrationResult(order, MigrationState.LEFT) for order in self.orders[1:]]
            return [MigrationResult(order, MigrationState.FAILED, DIED) for order in self.orders[:1]] + not_begun, False
        self.orders.remove(result.order)
        return [result], True

    def stop(self) -> None:
        """Make the process give back the orders that it has not begun."""
        self._stop.set()

    def end(self) -> None:
        """Wait until the process has ended, which it does after the orders it has."""
        with suppress(BrokenPipeError):
            self._pipe.send(None)
        self._process.join()
        self._pipe.close()


def work(settings: Settings, history: TenantHistory | None, orders: Pipe, stop: Event, parent: int, owner: str) -> None:
    """Carry out the orders that come through the pipe, and answer each with a result, until ``None`` comes.

    When ``stop`` is set, orders that are not begun are given back. When the process ``parent`` has ended, this process
    ends too, after the tenant under way. The tenants are claimed by ``owner``.
    """
    # Ctrl-C reaches all processes of a terminal. The parent decides when to stop, and gets our results.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The objects that exist now stay. Scanning them in every garbage collection would take a third of our time.
    gc.freeze()
    user_db = fence_database(settings)
    fleet = Fleet(user_db, settings, Servers.of(settings))

    def is_claimed(order: MigrationOrder) -> bool:
        with user_db.begin(read_only=True) as session:
            return ledger.is_claimed(session, owner, order.tenant_id)

    move = FencedMove(user_db, Migrator(fleet, history or TenantHistory(settings)), is_claimed)
    source = _Orders(orders, parent)
    order = source.wait()
    while order is not None:
        result = MigrationResult(order, MigrationState.LEFT) if stop.is_set() else move.carry_out(order)
        try:
            orders.send(result)
        except BrokenPipeError:
            break
        order = source.wait()
    user_db.dispose()


class _Orders:
    """The orders that come through a pipe, from a process that may die without closing it."""

    def __init__(self, pipe: Pipe, parent: int) -> None:
        self._pipe, self._parent = pipe, parent
        self._are_over = False

    def at_hand(self) -> MigrationOrder | None:
        """Return the next order, if one has come already."""
        self._are_over = self._are_over or os.getppid() != self._parent
        if self._are_over or not self._pipe.poll():
            return None
        try:
            order: MigrationOrder | None = self._pipe.recv()
        except EOFError:
            order = None
        self._are_over = order is None
        return order

    def wait(self) -> MigrationOrder | None:
        """Wait for the next order and return it, or None if no more will come."""
        while not self._are_over:
            order = self.at_hand()
            if order is not None or self._are_over:
                return order
            self._pipe.poll(LOOK_EVERY)
        return None
