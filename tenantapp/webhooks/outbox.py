"""The outbox: changes become deliveries, and deliveries get their outcome, in sessions on the tenant's database.

Each webhook has its position in the log of changes. A worker that visits the tenant moves it forward and adds the
deliveries in the same transaction. So a write pays nothing for them, no change is left out, and none is taken twice.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from tenantapp.resources.change_views import CONTEXT
from tenantapp.resources.cursors import encode_cursor
from tenantapp.resources.declaration import Resource
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.changes import present_position, read_changes
from tenantapp.tenancy.errors import ChangesGone
from tenantapp.tenancy.known_tables import has_table
from tenantapp.tenancy.models import ChangeCounter, DeliveryState, JobState, TenantDelivery, TenantJob, TenantWebhook
from tenantapp.webhooks.rows import COPIED, FAILING, GONE, WEBHOOKS, is_copied, skip_pending
from tenantapp.work.claims import pause_after
from tenantapp.work.queue import read_arguments

JOB: Final = "webhooks.deliver"
MOST_PENDING: Final = 1000  # messages of a webhook that wait; further changes stay in the log
AT_ONCE: Final = 200  # changes that become messages in one transaction, and messages that are read at once
REMOVE_MOST: Final = 500  # old messages
ERROR_LENGTH: Final = 500  # characters
LOST: Final = "changes.gone"


@dataclass(frozen=True, slots=True)
class Message:
    """A delivery to send now, and its webhook's address and secret. ``attempt`` counts from 1."""

    id: UUID
    url: str
    secret: str
    body: bytes
    attempt: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How often a message is tried, and how long a webhook may fail before it is switched off."""

    attempts: int
    give_up: timedelta
    keep: timedelta


def arguments_of(webhook_id: UUID) -> dict[str, str]:
    """Return the arguments of the job that delivers the messages of a webhook."""
    return {"webhook": str(webhook_id)}


def wanted_jobs(session: Session, place: TenantPlace) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a job for each webhook that has something to do and has no job: a source of ``work``."""
    if not has_table(session, WEBHOOKS):
        return
    pending = exists().where(
        TenantDelivery.webhook_id == TenantWebhook.id, TenantDelivery.state == DeliveryState.PENDING
    )
    last = select(func.coalesce(func.max(ChangeCounter.position), 0)).scalar_subquery()
    # A webhook of other content is taken over or switched off. A position after the last is one of other content too.
    elsewhere = or_(
        TenantWebhook.tenant_id != place.id,
        TenantWebhook.database != place.database,
        TenantWebhook.epoch != place.epoch,
    )
    behind = and_(TenantWebhook.active, or_(elsewhere, TenantWebhook.position != last, pending))
    waiting: set[str] | None = None
    for webhook_id in session.scalars(select(TenantWebhook.id).where(behind).order_by(TenantWebhook.id)).all():
        if waiting is None:
            waiting = _waiting(session)
        if str(webhook_id) not in waiting:
            yield JOB, arguments_of(webhook_id)


def _waiting(session: Session) -> set[str]:
    """Return the ids of the webhooks that have a job."""
    states = (JobState.QUEUED, JobState.RUNNING)
    found = session.scalars(select(TenantJob.arguments).where(TenantJob.state.in_(states), TenantJob.name == JOB))
    return {str((read_arguments(arguments) or {}).get("webhook")) for arguments in found}


def collect(session: Session, place: TenantPlace, webhook_id: UUID, tables: Mapping[str, Resource[Any]]) -> bool | None:
    """Make messages of the changes since the webhook's position. Return whether there are more of them to make.

    Return None if nothing is to be sent. ``tables`` are the resources by their tables. A webhook that came with
    a copy is switched off, and what it has not delivered is skipped.
    """
    webhook = session.get(TenantWebhook, webhook_id, with_for_update=True) if has_table(session, WEBHOOKS) else None
    if webhook is None or not webhook.active:
        return None
    if is_copied(webhook, place):
        webhook.active, webhook.off_reason = False, COPIED
        skip_pending(session, webhook.id)
        return None
    webhook.database, webhook.epoch = place.database, place.epoch
    waiting = select(func.count()).select_from(TenantDelivery)
    pending = (TenantDelivery.webhook_id == webhook.id, TenantDelivery.state == DeliveryState.PENDING)
    if (session.scalar(waiting.where(*pending)) or 0) >= MOST_PENDING:
        return True
    return _add_messages(session, place, webhook, tables)


def _add_messages(
    session: Session, place: TenantPlace, webhook: TenantWebhook, tables: Mapping[str, Resource[Any]]
) -> bool:
    wanted = set(json.loads(webhook.resources))
    of_interest = {table: resource for table, resource in tables.items() if resource.name in wanted}
    try:
        found = read_changes(session, webhook.position, AT_ONCE, of_interest)
    except ChangesGone:
        # The worker was away for longer than changes are kept.
        webhook.position = present_position(session)
        session.add(_message(place, webhook, LOST, utcnow(), webhook.position, {}))
        return False
    for change in found.changes:
        resource = of_interest[change.table_name]
        name, row_id = resource.name, str(resource.key.of_change(change.row_id))
        row = {"resource": name, "id": row_id, "kind": change.kind, "version": change.version}
        session.add(_message(place, webhook, f"{name}.{change.kind}", change.at, change.position, row))
    webhook.position = found.position
    return found.more


def _message(
    place: TenantPlace, webhook: TenantWebhook, event: str, at: datetime, position: int, row: Mapping[str, Any]
) -> TenantDelivery:
    """Return a message. It has no content of rows: a receiver reads them with rights of its own."""
    cursor = encode_cursor(CONTEXT, [place.epoch, position])
    data = {"tenant": place.slug, "tenant_id": str(place.id), **row, "position": position, "cursor": cursor}
    body = {"type": event, "timestamp": at.isoformat().replace("+00:00", "Z"), "data": data}
    return TenantDelivery(
        id=uuid7(),
        webhook_id=webhook.id,
        position=position,
        body=json.dumps(body, separators=(",", ":")),
        due_at=utcnow(),
    )


def next_message(session: Session, webhook_id: UUID) -> Message | datetime | None:
    """Return the oldest message that waits, or when it is due, or None. Later ones wait for it."""
    statement = (
        select(TenantDelivery, TenantWebhook)
        .join(TenantWebhook, TenantWebhook.id == TenantDelivery.webhook_id)
        .where(TenantDelivery.webhook_id == webhook_id, TenantDelivery.state == DeliveryState.PENDING)
        .where(TenantWebhook.active)
        .order_by(TenantDelivery.position, TenantDelivery.id)
        .limit(1)
    )
    found = session.execute(statement).one_or_none()
    if found is None:
        return None
    delivery, webhook = found
    if delivery.due_at > utcnow():
        due_at: datetime = delivery.due_at
        return due_at
    return Message(delivery.id, webhook.url, webhook.secret, delivery.body.encode(), delivery.attempts + 1)


def record_delivered(session: Session, webhook_id: UUID, message: Message, status: int) -> None:
    """Record that the receiver has taken a message."""
    values = {"state": DeliveryState.DELIVERED, "answer": status, "error": None}
    _record(session, message, values)
    working = {"failures": 0, "failing_since": None}
    session.execute(
        update(TenantWebhook).where(TenantWebhook.id == webhook_id, TenantWebhook.failures > 0).values(working)
    )


def record_failed(
    session: Session, webhook_id: UUID, message: Message, error: str, status: int | None, limits: Limits
) -> None:
    """Record a failed attempt. The webhook pauses, for longer after each failure in a row, or is switched off."""
    now = utcnow()
    webhook = session.get(TenantWebhook, webhook_id, with_for_update=True)
    if webhook is None:
        return
    webhook.failures += 1
    webhook.failing_since = webhook.failing_since or now
    values: dict[str, Any] = {"answer": status, "error": error[:ERROR_LENGTH]}
    if message.attempt >= limits.attempts:
        values["state"] = DeliveryState.FAILED
    due_at = now + pause_after(webhook.failures)
    if status == 410:  # the specification: the receiver wants no more
        webhook.active, webhook.off_reason = False, GONE
    elif now - webhook.failing_since >= limits.give_up:
        webhook.active, webhook.off_reason = False, FAILING
    session.flush()
    _record(session, message, values)
    pending = (TenantDelivery.webhook_id == webhook_id, TenantDelivery.state == DeliveryState.PENDING)
    session.execute(update(TenantDelivery).where(*pending, TenantDelivery.due_at < due_at).values(due_at=due_at))


def _record(session: Session, message: Message, values: Mapping[str, Any]) -> None:
    session.execute(
        update(TenantDelivery)
        .where(TenantDelivery.id == message.id)
        .values(**values, attempts=message.attempt, tried_at=utcnow())
    )


def remove_old(session: Session, webhook_id: UUID, keep: timedelta) -> None:
    """Remove some of the oldest messages of a webhook that do not wait, if they are older than this."""
    old = (
        select(TenantDelivery.id)
        .where(TenantDelivery.webhook_id == webhook_id, TenantDelivery.created_at < utcnow() - keep)
        .where(TenantDelivery.state != DeliveryState.PENDING)
        .order_by(TenantDelivery.id)
        .limit(REMOVE_MOST)
    )
    session.execute(delete(TenantDelivery).where(TenantDelivery.id.in_(old)))
