"""The load: turns of clients at a steady rate, one window after the other, in threads beside whoever watches."""

import json
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import select

from tenantapp.fleet.backups.requests import request_backup
from tenantapp.operations.errors import TenantBusy
from tenantapp.operations.models import Operation, OperationState
from tests.chaos.clients import Told
from tests.soak.clients import CONFLICTS, Remains, Window
from tests.soak.worlds import SoakWorld

THREADS: Final = 8
WINDOW: Final = 30.0  # seconds
BEHIND: Final = 5.0  # seconds that the load may be late before it begins anew
TRIAL: Final = 20.0  # seconds in which the machine shows what it can do


class Pace:
    """When the next turn may begin, at so many turns a second. None means at once."""

    def __init__(self, rate: float | None) -> None:
        self._lock = threading.Lock()
        self._every = 0.0 if rate is None else 1 / rate
        self.turns = self.late = 0
        self.begin()

    def begin(self) -> None:
        """Let the first turn begin now."""
        self._next = time.monotonic()

    def wait(self) -> None:
        """Wait for a turn. If it is much too late, those that were missed are dropped, and counted."""
        now = time.monotonic()
        with self._lock:
            self.turns += 1
            if self._every and now > self._next + BEHIND:
                self.late += int((now - self._next) / self._every)
                self._next = now
            self._next += self._every
            moment = self._next
        time.sleep(max(0.0, moment - now) if self._every else 0.0)


class Traffic(threading.Thread):
    """Works at this rate until it is stopped. ``findings`` are what the checks of all windows have found."""

    def __init__(self, world: SoakWorld, rate: float | None) -> None:
        super().__init__(name="traffic", daemon=True)
        self.world, self.pace = world, Pace(rate)
        self.told = Told(CONFLICTS, silent=False)
        self.findings: list[str] = []
        self.windows = self.errors = 0
        self.seconds = 0.0  # of work, without the checks
        self.failure: BaseException | None = None
        self._over = threading.Event()
        self._remains = deque[Remains]()

    def run(self) -> None:
        try:
            while not self._over.is_set():
                self._window()
        except BaseException as error:
            self.failure = error

    def end(self) -> None:
        """Stop when the present window has been checked. Raises what has ended the traffic before."""
        self._over.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def _window(self) -> None:
        window = Window(self.world, self.told, self.world.slugs, self._remains)
        self._back_up(self.windows)
        began = time.monotonic()
        self.pace.begin()
        threads = [threading.Thread(target=self._work, args=(window, began + WINDOW)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.seconds += time.monotonic() - began
        self.findings += window.findings()
        self.errors += errors_in_log(self.world)
        self.windows += 1

    def _work(self, window: Window, until: float) -> None:
        try:
            while time.monotonic() < until and not self._over.is_set():
                self.pace.wait()
                with window.turn() as client:
                    client.step()
        except BaseException as error:
            self.failure = error
            self._over.set()

    def _back_up(self, number: int) -> None:
        """Give the worker something to do: the backup of one tenant after the other."""
        registry = self.world.installation.registry
        slug = self.world.slugs[number % len(self.world.slugs)]
        with suppress(TenantBusy), registry.user_db.begin() as session:
            request_backup(session, registry.fleet, slug, requested_by="soak")

    def failed_operations(self) -> list[str]:
        """Return why operations of the worker have failed."""
        with self.world.installation.registry.user_db.begin(read_only=True) as session:
            failed = select(Operation).where(Operation.state == OperationState.FAILED)
            return [f"the {each.kind} of {each.slug} failed: {each.error}" for each in session.scalars(failed)]


def errors_in_log(world: SoakWorld) -> int:
    """Return how many errors were logged since the last call, and print the first. The log begins anew."""
    log = world.server.directory / "stdout"
    lines: list[dict[str, Any]] = []
    with log.open("r+") as file:
        for line in file:
            if '"ERROR"' in line or '"CRITICAL"' in line:
                lines.append(json.loads(line))
        file.truncate(0)
    for line in lines[:1]:
        print(f"    logged: {line}", flush=True)
    return len(lines)


def sustained_rate(world: SoakWorld, seconds: float = TRIAL) -> float:
    """Return the turns a second that the machine does when each client goes on as soon as it can."""
    traffic = Traffic(world, None)
    traffic.start()
    time.sleep(seconds / 4)  # until connections are made
    began, turns = time.monotonic(), traffic.pace.turns
    time.sleep(seconds)
    rate = (traffic.pace.turns - turns) / (time.monotonic() - began)
    traffic.end()
    return rate
