"""Mail in the application: the method of requests that sends it, the errors, and the job."""

from typing import Any, Final
from uuid import UUID

from pyramid.config import Configurator
from sqlalchemy.orm import Session

from tenantapp.mail import errors
from tenantapp.mail.delivering import delivery_of
from tenantapp.mail.messages import JOB, send_mail
from tenantapp.mail.sending import SendMail
from tenantapp.mail.transports import transport_of
from tenantapp.operations.background import Background
from tenantapp.tenancy.access import Access
from tenantapp.work.queue import Enqueue

RETRIES: Final = 50  # with pauses of up to an hour: two days
BESIDES: Final = 60.0  # seconds that a job may take besides the longest wait for the server


def includeme(config: Configurator) -> None:
    """Put ``send_mail`` on the registry and on requests. If ``mail.url`` is set, declare the job.

    Then a process that works on operations also delivers account mail: the registry's ``mail_delivery``.
    """
    registry = config.registry
    settings = registry.app_settings
    registry.send_mail = SendMailInScript(registry.enqueue)
    if settings.mail_url is not None:
        registry.mail_transport = transport_of(settings.mail_url, settings.mail_timeout)
        handler, timeout = SendMail(registry, settings.mail_from), settings.mail_timeout + BESIDES
        # A message may have a link that lets somebody in: what was sent is not kept.
        registry.jobs.declare(JOB, handler, retries=RETRIES, timeout=timeout, kept=False)
    # The transport is read when it is needed: tests put another in its place.
    registry.mail_delivery = delivery_of(
        settings, registry.user_db, lambda: registry.mail_transport, registry.fleet.tracer
    )
    if registry.mail_delivery is not None and settings.fleet_worker:
        registry.worker_host.add(Background("mail", registry.mail_delivery.run))
    config.add_request_method(send_mail, "send_mail")
    config.add_problem(errors.MailNotConfigured, 409, "mail_not_configured")
    config.add_problem(errors.InvalidMail, 422, "invalid")


class SendMailInScript:
    """Sends mail from a script: ``registry.send_mail(session, access, "ann@example.com", "Subject", "Text")``."""

    def __init__(self, enqueue: Enqueue) -> None:
        self._enqueue = enqueue

    def __call__(self, session: Session, access: Access, *message: Any, **options: Any) -> UUID:
        """Send a message of the access's tenant in the session's transaction. See ``messages.send_mail``."""
        return send_mail(_Script(self._enqueue, session, access), *message, **options)


class _Script:
    """A session of a script, as a ``Queue``."""

    def __init__(self, queue: Enqueue, session: Session, access: Access) -> None:
        self._queue, self._session, self._access = queue, session, access

    def enqueue(self, *job: Any, **options: Any) -> UUID:
        return self._queue(self._session, self._access, *job, **options)
