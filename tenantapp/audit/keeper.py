"""A thread of a worker or of a serving process that keeps the audit trail.

Every few seconds it seals entries, sends them on, and finishes with people who are being forgotten.
"""

from threading import Event
from typing import Final

from tenantapp.audit.checkpoints import signing_key
from tenantapp.audit.forgetting import forget_next
from tenantapp.audit.receivers import receiver_of
from tenantapp.audit.sealing import Sealer
from tenantapp.audit.streaming import Streamer
from tenantapp.operations.background import repeat
from tenantapp.settings import Settings
from tenantapp.tenancy.dbfactory import DBFactory

LOOK_EVERY: Final = 2.0  # seconds


class Keeper:
    """Seals the entries of an installation, sends them on if a setting says where to, and forgets people.

    Several may work at once.
    """

    def __init__(self, user_db: DBFactory, settings: Settings) -> None:
        self._user_db = user_db
        self._sealer = Sealer(user_db, signing_key(settings))
        stream, secret = settings.audit_stream, settings.audit_stream_secret
        self._streamer = None if stream is None else Streamer(user_db, receiver_of(stream, secret))

    def work(self) -> bool:
        """Seal a batch, send some of what is sealed, and forget a person. Return whether there may be more."""
        sealed = self._sealer.seal() > 0
        sent = self._streamer is not None and self._streamer.work()
        return forget_next(self._user_db) or sealed or sent

    def work_until_idle(self) -> None:
        """Work until there is nothing to do."""
        while self.work():
            pass

    def run(self, stop: Event) -> None:
        """Work until ``stop`` is set."""
        repeat(stop, self.work, LOOK_EVERY, "The audit trail cannot be kept")
