"""gunicorn's worker: it serves with the loop of ``connections``, until the master stops it."""

import os
from time import monotonic
from typing import Any

from gunicorn.workers.base import Worker as BaseWorker

from tenantapp.serving.servers import make_servers, turn


class Worker(BaseWorker):
    """A process with threads. A loop receives requests and sends answers for all of its connections."""

    def run(self) -> None:
        """Serve until a signal stops the process, or the master is gone. Then let requests end."""
        options = self.app.options
        self._servers = make_servers(
            self.wsgi,
            keepalive=options.keepalive,
            largest=options.max_request_body_size,
            proxy=options.proxy,
            threads=options.threads,
            sockets=[listener.sock for listener in self.sockets],
            backlog=self.cfg.backlog,
        )
        while self.alive and self.ppid == os.getppid():
            self._turn()
        for server in self._servers:
            server.stop()
        ends = monotonic() + self.cfg.graceful_timeout
        while monotonic() < ends and not all(server.has_stopped for server in self._servers):
            self._turn()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop (SIGTERM): wake the loop."""
        self.alive = False
        for server in getattr(self, "_servers", ()):
            server.pull_trigger()

    def _turn(self) -> None:
        self.notify()
        turn(self._servers)
