"""gunicorn's worker with threads, which can also keep the connections of a proxy."""

from typing import Any, Final

from gunicorn.workers.gthread import ThreadWorker

MOST_KEPT: Final = 100  # connections; each is an open file, and nginx keeps 16 as we recommend


class Worker(ThreadWorker):
    """A worker that accepts a connection only for a free thread. The others wait where any worker can accept them.

    Connections that are kept for their next request, or that have sent nothing yet, need no thread. A request on a kept
    connection is this worker's, even if it has no thread for it. While there are more requests than threads, each
    answer closes its connection. Otherwise the requests on kept connections could take turns for ever, and what waits
    to be accepted would not be served.

    gunicorn reads the two attributes below before it accepts, and before it keeps, a connection.
    """

    @property
    def worker_connections(self) -> int:
        """Return how many connections there may be, those that need no thread included."""
        threads: int = self.cfg.threads
        return threads + len(self.keepalived_conns) + len(self.pending_conns)

    @worker_connections.setter
    def worker_connections(self, value: Any) -> None:
        """Ignore gunicorn's setting."""

    @property
    def max_keepalived(self) -> int:
        """Return how many connections may be kept."""
        return MOST_KEPT if self.nr_conns <= self.worker_connections else 0

    @max_keepalived.setter
    def max_keepalived(self, value: Any) -> None:
        """Ignore gunicorn's setting."""
