"""The job that delivers: it collects what has changed, sends the messages in their order, and records each outcome.

No transaction is open while it waits for a receiver. A message is recorded as delivered after the answer, so a worker
that dies between the two sends it again, under the same id: each message arrives at least once.
"""

import time
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tenantapp.outgoing.addresses import Addresses
from tenantapp.outgoing.errors import OutgoingError, RequestFailed
from tenantapp.outgoing.sending import post
from tenantapp.outgoing.signing import signed_headers
from tenantapp.settings import Settings
from tenantapp.sql.times import utcnow
from tenantapp.webhooks.outbox import (
    JOB,
    Limits,
    Message,
    arguments_of,
    collect,
    next_message,
    record_delivered,
    record_failed,
    remove_old,
)
from tenantapp.work.running import Job

NO_TIME: Final = timedelta(0)
LONGEST: Final = 5.0  # seconds after which a job sends no further message: others of the tenant wait


class Delivering:
    """The handler of the job. ``registry`` is the application's: it has ``resources`` and ``webhook_addresses``."""

    def __init__(self, registry: Any, settings: Settings, limits: Limits) -> None:
        self._registry, self._limits, self._seconds = registry, limits, settings.webhooks_timeout

    def __call__(self, job: Job) -> None:
        """Deliver to the webhook that the job's arguments name."""
        webhook_id = UUID(job.arguments["webhook"])
        ends = time.monotonic() + LONGEST
        more = self._collect(job, webhook_id)
        following: Message | datetime | None = None
        while more is not None:
            job.check()
            if time.monotonic() > ends:
                following = utcnow()
                break
            with job.begin(read_only=True) as session:
                following = next_message(session, webhook_id)
            if isinstance(following, Message):
                self._deliver(job, webhook_id, following)
            elif following is None and more:
                more = self._collect(job, webhook_id)
            else:
                break
        if isinstance(following, datetime):
            job.enqueue(JOB, arguments_of(webhook_id), after=max(following - utcnow(), NO_TIME))

    def _collect(self, job: Job, webhook_id: UUID) -> bool | None:
        """Return whether there are more changes than were collected, or None if nothing is to be sent."""
        tables = {each.model.__tablename__: each for each in self._registry.resources.values()}
        with job.begin() as session:
            remove_old(session, webhook_id, self._limits.keep)
            return collect(session, job.tenant, webhook_id, tables)

    def _deliver(self, job: Job, webhook_id: UUID, message: Message) -> None:
        addresses: Addresses = self._registry.webhook_addresses
        headers = signed_headers(message.secret, str(message.id), int(utcnow().timestamp()), message.body)
        try:
            status = post(addresses, message.url, message.body, headers, seconds=self._seconds)
        except OutgoingError as error:
            answered = error.status if isinstance(error, RequestFailed) else None
            with job.begin() as session:
                record_failed(session, webhook_id, message, str(error), answered, self._limits)
        else:
            with job.begin() as session:
                record_delivered(session, webhook_id, message, status)
