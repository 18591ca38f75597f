"""The job that sends a message to one recipient.

No transaction is open while it waits for the mail server. The message counts as sent after the server's answer, so a
worker that dies between the two sends it again, with the same ``Message-ID``: each message arrives at least once.
"""

import logging
from typing import Any

from tenantapp.email_addresses import Mailbox
from tenantapp.mail.errors import MailRefused
from tenantapp.mail.messages import envelope_of
from tenantapp.mail.transports import Transport
from tenantapp.work.errors import NoRetry
from tenantapp.work.running import Job

log = logging.getLogger(__name__)


class SendMail:
    """The handler of the job. ``registry`` is the application's: it has the ``mail_transport``."""

    def __init__(self, registry: Any, sender: Mailbox) -> None:
        self._registry, self._sender = registry, sender

    def __call__(self, job: Job) -> None:
        """Send the message. Raises ``MailDelayed``, and ``NoRetry`` if the server refuses it for good."""
        transport: Transport = self._registry.mail_transport
        envelope = envelope_of(job.arguments, self._sender)
        try:
            transport.send(envelope)
        except MailRefused as error:
            raise NoRetry(str(error)) from error
        # Logs are kept longer than what they are about, and by others: no address.
        log.info("The mail %s of %s is sent (job %s).", envelope.id, job.tenant.slug, job.id)
