"""Deliver account mail: a thread of a serving process that works on operations, and of ``tenantapp worker``.

No transaction is open while it waits for the mail server. The message counts as sent after the server's answer, so a
worker that dies between the two has another one send it again, with the same ``Message-ID``.
"""

import atexit
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Final

from tenantapp.email_addresses import Mailbox
from tenantapp.mail.errors import MailDelayed, MailRefused
from tenantapp.mail.messages import envelope_of
from tenantapp.mail.outbox import ClaimedMail, claim, discard, is_mail_due, postpone
from tenantapp.mail.transports import Transport
from tenantapp.settings import Settings
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.work.running import DATABASE_ERRORS

log = logging.getLogger(__name__)
POLL_EVERY: Final = 1.0  # seconds
POLL_WHEN_DOWN: Final = 10.0  # seconds, while the user database does not answer
STOP_WAIT: Final = 5.0  # seconds to wait for the server's answer when the process ends
# A message takes as long as the server may take, mail.timeout, and a while for the two transactions.
LEASE_BESIDES: Final = 60.0  # seconds


class Delivery:
    """Sends the messages of the outbox, one after the other.

    ``transport`` returns what takes them. ``sender`` is the setting ``mail.from``, ``timeout`` is ``mail.timeout``.
    """

    def __init__(self, user_db: DBFactory, transport: Callable[[], Transport], sender: Mailbox, timeout: float) -> None:
        self._user_db, self._transport, self._sender = user_db, transport, sender
        self._lease = timedelta(seconds=timeout + LEASE_BESIDES)
        self._stop = Event()
        self._thread: Thread | None = None

    def deliver(self) -> int:
        """Send what is due now. Return how many messages were sent. Raises ``DATABASE_ERRORS``."""
        sent = 0
        while not self._stop.is_set() and (mail := self._claim()):
            sent += self._send(mail)
        return sent

    def start(self) -> None:
        """Start the thread, if it was not started already."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="mail", daemon=True)
            self._thread.start()
            atexit.register(self.stop)

    def stop(self) -> None:
        """Ask the thread to end, and wait some seconds for it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_WAIT)
        atexit.unregister(self.stop)

    def _run(self) -> None:
        while not self._stop.is_set():
            pause = POLL_EVERY
            try:
                self.deliver()
            except DATABASE_ERRORS as error:
                # No tables yet, or the database is down; either may change.
                log.warning("No mail can be read: %s", error)
                pause = POLL_WHEN_DOWN
            except Exception:
                log.exception("The outbox is looked at again in a moment.")
                pause = POLL_WHEN_DOWN
            self._stop.wait(pause)

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


def delivery_of(settings: Settings, user_db: DBFactory, transport: Callable[[], Transport]) -> Delivery | None:
    """Return what delivers account mail under these settings, or None if they send no mail."""
    if settings.mail_url is None or settings.mail_from is None:
        return None
    return Delivery(user_db, transport, settings.mail_from, settings.mail_timeout)


@contextmanager
def mail_delivered(delivery: Delivery | None) -> Iterator[None]:
    """Let account mail be delivered by a thread of its own until the block ends."""
    if delivery is None:
        yield
        return
    delivery.start()
    try:
        yield
    finally:
        delivery.stop()
