"""The processes that migrate, as whoever gives them orders sees them."""

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from typing import Any, Final

from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.fleet.migrating.orders import MigrationState, Order, Result
from tenantapp.fleet.migrating.process import work
from tenantapp.settings import Settings

DIED: Final = "The process that migrated it ended unexpectedly."


class Member:
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
        self.orders: list[Order] = []

    @property
    def pipe(self) -> Pipe:
        return self._pipe

    def give(self, order: Order) -> None:
        """Let it carry out an order, after those it has."""
        self.orders.append(order)
        # One that is dead is found out by ``take``.
        with suppress(BrokenPipeError):
            self._pipe.send(order)

    def take(self) -> tuple[list[Result], bool]:
        """What became of its orders, once the pipe can be read, and whether the process is still there."""
        try:
            result: Result = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            not_begun = [Result(order, MigrationState.LEFT) for order in self.orders[1:]]
            return [Result(order, MigrationState.FAILED, DIED) for order in self.orders[:1]] + not_begun, False
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


class Crew:
    """As many processes as there are jobs. One that died is replaced."""

    def __init__(self, settings: Settings, history: TenantHistory, owner: str, jobs: int) -> None:
        self._settings, self._history, self._owner = settings, history, owner
        self._members = [Member(settings, history, owner) for _ in range(jobs)]

    @property
    def at_work(self) -> list[Order]:
        """The orders under way."""
        return [order for member in self._members for order in member.orders]

    def room(self, *, ahead: int) -> int:
        """How many more orders they can have, if each may have so many beyond the one under way."""
        return sum(max(0, 1 + ahead - len(member.orders)) for member in self._members)

    def give(self, order: Order) -> None:
        """Let the one with the least to do carry out an order."""
        min(self._members, key=lambda member: len(member.orders)).give(order)

    def results(self, timeout: float) -> list[Result]:
        """What has come in, after at most so many seconds."""
        ready: Sequence[object] = wait([member.pipe for member in self._members], timeout)
        found = []
        for number, member in enumerate(self._members):
            if member.pipe in ready:
                results, lives = member.take()
                found += results
                if not lives:
                    self._members[number] = Member(self._settings, self._history, self._owner)
        return found

    def stop(self) -> None:
        """Let them give back what they have not begun."""
        for member in self._members:
            member.stop()

    def end(self) -> None:
        """Let all of them end, each after the orders it has."""
        for member in self._members:
            member.end()
