"""Deliver account mail: a thread of a serving process that works on operations, and of ``tenantapp worker``.

No transaction is open while it waits for the mail server. The message counts as sent after the server's answer, so a
worker that dies between the two has another one send it again, with the same ``Message-ID``.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Final

from tenantapp.email_addresses import Mailbox
from tenantapp.mail.errors import MailDelayed, MailRefused
from tenantapp.mail.messages import envelope_of
from tenantapp.mail.outbox import ClaimedMail, claim, discard, is_mail_due, postpone
from tenantapp.mail.transports import Transport
from tenantapp.operations.background import repeat
from tenantapp.settings import Settings
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.trace_context import Work, WorkTracer, traced_work

log = logging.getLogger(__name__)
POLL_EVERY: Final = 1.0  # seconds
# A message takes as long as the server may take, mail.timeout, and a while for the two transactions.
LEASE_BESIDES: Final = 60.0  # seconds


class Delivery:
    """Sends the messages of the outbox, one after the other.

    ``transport`` returns what takes them. ``sender`` is the setting ``mail.from``, ``timeout`` is ``mail.timeout``.
    ``tracer`` traces the work of this process, if it is traced.
    """

    def __init__(
        self,
        user_db: DBFactory,
        transport: Callable[[], Transport],
        sender: Mailbox,
        timeout: float,
        tracer: WorkTracer | None = None,
    ) -> None:
        self._user_db, self._transport, self._sender, self._tracer = user_db, transport, sender, tracer
        self._lease = timedelta(seconds=timeout + LEASE_BESIDES)

    def deliver(self, stop: Event | None = None) -> int:
        """Send what is due now, or until ``stop`` is set. Return how many were sent.

        Raises ``background.DATABASE_ERRORS``.
        """
        sent = 0
        while not (stop and stop.is_set()) and (mail := self._claim()):
            sent += self._send(mail)
        return sent

    def run(self, stop: Event) -> None:
        """Send what is due, until ``stop`` is set."""
        repeat(stop, {"No mail can be read": lambda: self.deliver(stop) > 0}, POLL_EVERY)

    def _claim(self) -> ClaimedMail | None:
        # Look first without the write lock, of which SQLite has only one.
        if not is_mail_due(self._user_db):
            return None
        with self._user_db.begin() as session:
            return claim(session, self._lease)

    def _send(self, mail: ClaimedMail) -> bool:
        """Send a message, and record what has become of it. Return whether it was sent."""
        sent = done = False
        try:
            with traced_work(self._tracer, Work("mail", "account", mail.id, None, mail.cause)):
                sent = done = self._hand_over(mail)
        except MailRefused as error:
            done = True
            log.error("The mail %s is given up: %s", mail.id, error)
        except MailDelayed as error:
            log.warning("The mail %s is tried again (attempt %d): %s", mail.id, mail.attempts, error)
        with self._user_db.begin() as session:
            (discard if done or mail.expired else postpone)(session, mail)
        return sent

    def _hand_over(self, mail: ClaimedMail) -> bool:
        """Give a message to the transport, unless it has expired. Return whether it was sent."""
        # Logs are kept longer than what they are about, and by others: no address.
        if mail.expired:
            log.info("The mail %s has expired and is not sent.", mail.id)
            return False
        self._transport().send(envelope_of(mail.message, self._sender))
        log.info("The mail %s is sent.", mail.id)
        return True


def delivery_of(
    settings: Settings, user_db: DBFactory, transport: Callable[[], Transport], tracer: WorkTracer | None = None
) -> Delivery | None:
    """Return what delivers account mail under these settings, or None if they send no mail."""
    if settings.mail_url is None or settings.mail_from is None:
        return None
    return Delivery(user_db, transport, settings.mail_from, settings.mail_timeout, tracer)
