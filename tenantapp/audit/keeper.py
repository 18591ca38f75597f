"""A thread of a worker or of a serving process that keeps the audit trail.

Every few seconds it seals entries, sends them on, and finishes with people who are being forgotten.
"""

import atexit
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

from sqlalchemy.exc import DBAPIError

from tenantapp.audit.checkpoints import signing_key
from tenantapp.audit.forgetting import forget_next
from tenantapp.audit.receivers import receiver_of
from tenantapp.audit.sealing import Sealer
from tenantapp.audit.streaming import Streamer
from tenantapp.settings import Settings
from tenantapp.sql.errors import SqlError
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenancyError

log = logging.getLogger(__name__)
LOOK_EVERY: Final = 2.0  # seconds
LOOK_WHEN_DOWN: Final = 10.0  # seconds, while the user database does not answer
STOP_WAIT: Final = 5.0  # seconds


class Keeper:
    """Seals the entries of an installation, sends them on if a setting says where to, and forgets people.

    Several may work at once.
    """

    def __init__(self, user_db: DBFactory, settings: Settings) -> None:
        self._user_db = user_db
        self._sealer = Sealer(user_db, signing_key(settings))
        stream, secret = settings.audit_stream, settings.audit_stream_secret
        self._streamer = None if stream is None else Streamer(user_db, receiver_of(stream, secret))
        self._stop = Event()
        self._thread: Thread | None = None

    def work(self) -> bool:
        """Seal a batch, send some of what is sealed, and forget a person. Return whether there may be more."""
        sealed = self._sealer.seal() > 0
        sent = self._streamer is not None and self._streamer.work()
        return forget_next(self._user_db) or sealed or sent

    def work_until_idle(self) -> None:
        """Work until there is nothing to do."""
        while self.work():
            pass

    def start(self) -> None:
        """Start the thread, if it was not started already."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="audit trail", daemon=True)
            self._thread.start()
            atexit.register(self.stop)

    def stop(self) -> None:
        """Ask the thread to end, and wait a few seconds for it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_WAIT)
        atexit.unregister(self.stop)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                pause = 0.0 if self.work() else LOOK_EVERY
            except (SqlError, TenancyError, DBAPIError) as error:
                # No tables yet, or the database is down; either may change.
                log.warning("The audit trail cannot be sealed: %s", error)
                pause = LOOK_WHEN_DOWN
            self._stop.wait(pause)


@contextmanager
def trail_kept(keeper: Keeper) -> Iterator[None]:
    """Let a keeper work in its thread until the block ends."""
    keeper.start()
    try:
        yield
    finally:
        keeper.stop()
