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

from tenantapp.fleet.migrating.orders import MigrationState, Order, Result
from tenantapp.fleet.migrating.process import work
from tenantapp.fleet.migrating.revisions import TenantHistory
from tenantapp.settings import Settings

DIED: Final = "The process that migrated it ended unexpectedly."


class Member:
    """One process and the order it has."""

    def __init__(self, settings: Settings, history: TenantHistory) -> None:
        # A forked process has everything imported already; but a lock that a thread of ours holds would stay locked.
        forks = sys.platform == "linux" and threading.active_count() == 1
        context: Any = get_context("fork" if forks else "spawn")
        self._pipe: Pipe
        self._pipe, theirs = context.Pipe()
        arguments = (settings, history if forks else None, theirs, os.getpid())
        self._process = context.Process(target=work, args=arguments)
        self._process.start()
        theirs.close()
        self.order: Order | None = None

    @property
    def pipe(self) -> Pipe:
        return self._pipe

    def give(self, order: Order) -> None:
        """Let it carry out an order."""
        self.order = order
        # One that is dead is found out by ``take``.
        with suppress(BrokenPipeError):
            self._pipe.send(order)

    def take(self) -> tuple[Result | None, bool]:
        """What became of the order, once the pipe can be read, and whether the process is still there."""
        order, self.order = self.order, None
        try:
            return self._pipe.recv(), True
        except (EOFError, ConnectionResetError):
            self._process.join()
            return (None if order is None else Result(order, MigrationState.FAILED, DIED)), False

    def end(self) -> None:
        """Wait until it has ended, which it does after the order it has."""
        with suppress(BrokenPipeError):
            self._pipe.send(None)
        self._process.join()
        self._pipe.close()


class Crew:
    """As many processes as there are jobs. One that died is replaced."""

    def __init__(self, settings: Settings, history: TenantHistory, jobs: int) -> None:
        self._settings, self._history = settings, history
        self._members = [Member(settings, history) for _ in range(jobs)]

    @property
    def at_work(self) -> list[Order]:
        """The orders under way."""
        return [member.order for member in self._members if member.order is not None]

    @property
    def idle(self) -> int:
        """How many processes have nothing to do."""
        return len(self._members) - len(self.at_work)

    def give(self, order: Order) -> None:
        """Let one that is idle carry out an order."""
        next(member for member in self._members if member.order is None).give(order)

    def results(self, timeout: float) -> list[Result]:
        """What has come in, after at most so many seconds."""
        ready: Sequence[object] = wait([member.pipe for member in self._members], timeout)
        found = []
        for number, member in enumerate(self._members):
            if member.pipe in ready:
                result, lives = member.take()
                found += [] if result is None else [result]
                if not lives:
                    self._members[number] = Member(self._settings, self._history)
        return found

    def end(self) -> None:
        """Let all of them end, each after the order it has."""
        for member in self._members:
            member.end()
