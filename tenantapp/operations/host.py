"""A worker inside the process that serves."""

import atexit
import logging
from collections.abc import Sequence
from threading import Event, Lock, Thread
from typing import Final

from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Kinds
from tenantapp.operations.worker import Chore, Worker

log = logging.getLogger(__name__)
STOP_WAIT: Final = 5.0  # seconds that the process waits at its end for a step to stop


class WorkerHost:
    """Threads of this process that work on operations, once the application serves.

    They are stopped when the process ends. What a step is in the middle of then is left to its lease, and another
    worker goes on.
    """

    def __init__(self, fleet: Fleet, kinds: Kinds, chores: Sequence[Chore], jobs: int) -> None:
        self._workers = [Worker(fleet, kinds, chores) for _ in range(jobs)]
        self._lock, self._stop = Lock(), Event()
        self._threads: list[Thread] = []
        self.started = jobs == 0

    def start(self) -> None:
        """Start the threads; nothing happens when they were started already, or there are to be none."""
        with self._lock:
            if self.started:
                return
            self.started = True
            self._threads = [
                Thread(target=worker.run, args=(self._stop,), name=f"worker {number}", daemon=True)
                for number, worker in enumerate(self._workers, 1)
            ]
        for thread in self._threads:
            thread.start()
        atexit.register(self.stop)
        log.info("This process works on operations, %d at once.", len(self._threads))

    def stop(self) -> None:
        """Ask the threads to end, and wait for them a little."""
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_WAIT)
        atexit.unregister(self.stop)
