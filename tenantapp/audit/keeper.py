"""A thread of a worker or of a serving process that keeps the audit trail.

Every few seconds it seals entries, sends them on, and finishes with people who are being forgotten.
"""

from collections.abc import Callable
from contextlib import ExitStack
from threading import Event
from typing import Final

from tenantapp.audit.checkpoints import signing_key
from tenantapp.audit.forgetting import Forgetter
from tenantapp.audit.receivers import receiver_of
from tenantapp.audit.sealing import Sealer
from tenantapp.audit.streaming import Streamer
from tenantapp.operations.background import repeat
from tenantapp.settings import Settings
from tenantapp.tenancy.dbfactory import DBFactory

LOOK_EVERY: Final = 2.0  # seconds


class Keeper:
    """Seals the entries of an installation, sends them on if a setting says where to, and forgets people.

    None of the three keeps the others from going on. Several keepers may work at once.
    """

    def __init__(self, user_db: DBFactory, settings: Settings) -> None:
        sealer = Sealer(user_db, signing_key(settings))
        self._works: dict[str, Callable[[], bool]] = {
            # One step reads some rows of the trail: so the others wait for no whole person, and many may leave at once.
            "People cannot be forgotten": Forgetter(user_db).work,
            "The audit trail cannot be sealed": lambda: sealer.seal() > 0,
        }
        if settings.audit_stream is not None:
            streamer = Streamer(user_db, receiver_of(settings.audit_stream, settings.audit_stream_secret))
            self._works["The audit trail cannot be sent on"] = streamer.work

    def work_until_idle(self) -> None:
        """Work until there is nothing to do. If something fails, the rest is done before its error is raised."""
        with ExitStack() as rest:
            for work in reversed(self._works.values()):
                rest.callback(_until_idle, work)

    def run(self, stop: Event) -> None:
        """Work until ``stop`` is set."""
        repeat(stop, self._works, LOOK_EVERY)


def _until_idle(work: Callable[[], bool]) -> None:
    while work():
        pass
