"""The processes that migrate: what each does, and how whoever gives them orders sees them."""

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

from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.closing.fence import fence_database
from tenantapp.fleet.migrating import ledger
from tenantapp.fleet.migrating.fenced_move import FencedMove
from tenantapp.fleet.migrating.migrator import Migrator
from tenantapp.fleet.migrating.orders import MigrationOrder, MigrationResult, MigrationState
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.tenancy.servers import Servers

DIED: Final = "The process that migrated it ended unexpectedly."
LOOK_EVERY: Final = 1.0  # seconds between two looks whether whoever tells us is still there


class Crew:
    """As many processes as there are jobs. One that died is replaced."""

    def __init__(self, settings: Settings, history: TenantHistory, owner: str, jobs: int) -> None:
        self._settings, self._history, self._owner = settings, history, owner
        self._members = [_Process(settings, history, owner) for _ in range(jobs)]

    @property
    def at_work(self) -> list[MigrationOrder]:
        """The orders under way."""
        return [order for member in self._members for order in member.orders]

    def room(self, *, ahead: int) -> int:
        """How many more orders they can have, if each may have so many beyond the one under way."""
        return sum(max(0, 1 + ahead - len(member.orders)) for member in self._members)

    def give(self, order: MigrationOrder) -> None:
        """Let the one with the least to do carry out an order."""
        min(self._members, key=lambda member: len(member.orders)).give(order)

    def results(self, timeout: float) -> list[MigrationResult]:
        """What has come in, after at most so many seconds."""
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
        """Let them give back what they have not begun."""
        for member in self._members:
            member.stop()

    def end(self) -> None:
        """Let all of them end, each after the orders it has."""
        for member in self._members:
            member.end()


class _Process:
    """One process and the orders it has: the one under way, and those after it."""

    def __init__(self, settings: Settings, history: TenantHistory, owner: str) -> None:
        # A forked process has everything imported already; but a lock that a thread of ours holds would stay locked.
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
        """Let it carry out an order, after those it has."""
        self.orders.append(order)
        # One that is dead is found out by ``take``.
        with suppress(BrokenPipeError):
            self._pipe.send(order)

    def take(self) -> tuple[list[MigrationResult], bool]:
        """What became of its orders, once the pipe can be read, and whether the process is still there."""
        try:
            result: MigrationResult = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            not_begun = [MigrationResult(order, MigrationState.LEFT) for order in self.orders[1:]]
            return [MigrationResult(order, MigrationState.FAILED, DIED) for order in self.orders[:1]] + not_begun, False
        self.orders.remove(result.order)
        return [result], True

    def stop(self) -> None:
        """Let it give back the orders that it has not begun."""
        self._stop.set()

    def end(self) -> None:
        """Wait until it has ended, which it does after the orders it has."""
        with suppress(BrokenPipeError):
            self._pipe.send(None)
        self._process.join()
        self._pipe.close()


def work(settings: Settings, history: TenantHistory | None, orders: Pipe, stop: Event, parent: int, owner: str) -> None:
    """Carry out the orders that come through the pipe, and answer each with a result, until ``None`` comes.

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
    """The orders that come through a pipe from a process that may end without saying so."""

    def __init__(self, pipe: Pipe, parent: int) -> None:
        self._pipe, self._parent = pipe, parent
        self._are_over = False

    def at_hand(self) -> MigrationOrder | None:
        """The next order, if there is one already."""
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
        """The next order, or None when there are to be no more."""
        while not self._are_over:
            order = self.at_hand()
            if order is not None or self._are_over:
                return order
            self._pipe.poll(LOOK_EVERY)
        return None
