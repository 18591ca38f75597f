"""What PostgreSQL itself says of the connections to tenant databases while something is measured."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from benchmarks.postgres import Postgres

INTERVAL: Final = 0.1  # seconds between two looks
# Roles and databases are named alike, and so that a tenant is known by it.
OPEN: Final = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'tenant\\_%%' AND application_name = %s"
MADE: Final = "SELECT coalesce(sum(sessions), 0) FROM pg_stat_database WHERE datname LIKE 'tenant\\_%'"


@dataclass
class Watched:
    """What was seen of one thing measured, in all rounds."""

    made: int = 0
    """Connections made; those of the last seconds may not be counted yet."""
    most_open: int = 0


@dataclass
class Backends:
    """Counts connections from outside the process that makes them."""

    postgres: Postgres
    seen: dict[Hashable, Watched] = field(default_factory=dict)

    @contextmanager
    def watched(self, key: Hashable, application: str) -> Iterator[None]:
        """Watch while the block runs. Open are those of this application; no other one is to make any meanwhile."""
        watched = self.seen.setdefault(key, Watched())
        before = self._made()
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(watched, application, over))
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
        watched.made += self._made() - before

    def _made(self) -> int:
        return int(self.postgres.execute(MADE)[0][0])

    def _watch(self, watched: Watched, application: str, over: threading.Event) -> None:
        connection = self.postgres.connect()
        with connection.cursor() as cursor:
            while not over.wait(INTERVAL):
                cursor.execute(OPEN, (application,))
                watched.most_open = max(watched.most_open, cursor.fetchone()[0])
        connection.close()
