"""Add, change and list the webhooks of a tenant and their deliveries, in a session on its database."""

import json
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from tenantapp.content import Content, example, one_line
from tenantapp.identity.errors import InvalidValue, NotFound
from tenantapp.outgoing.signing import new_secret
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Access, TenantPlace
from tenantapp.tenancy.changes import present_position
from tenantapp.tenancy.known_tables import needs_table
from tenantapp.tenancy.models import DeliveryState, TenantDelivery, TenantWebhook
from tenantapp.webhooks.errors import TooManyWebhooks, WebhookOff

WEBHOOKS: Final = TenantWebhook.__tablename__
COPIED, FAILING, GONE, BY_PEOPLE = "copied", "failing", "gone", "by_people"
ResourceName = Annotated[str, Field(max_length=100)]


class WebhookContent(
    Content,
    json_schema_extra=example({"name": "Search index", "url": "https://example.com/hooks", "resources": ["nodes"]}),
):
    """What people say about a webhook: its name, its address, and the resources whose changes it is told of."""

    name: Annotated[str, Field(min_length=1, max_length=200), one_line(200)]
    url: Annotated[str, Field(max_length=1000)]
    resources: Annotated[list[ResourceName], Field(min_length=1, max_length=100)]
    active: bool = True


def content_of(webhook: TenantWebhook) -> WebhookContent:
    """Return what people have said about a webhook."""
    return WebhookContent.model_construct(
        name=webhook.name, url=webhook.url, resources=json.loads(webhook.resources), active=webhook.active
    )


def is_copied(webhook: TenantWebhook, place: TenantPlace) -> bool:
    """Return whether a webhook was switched on in other content than the tenant's present one.

    It is so in a clone, a branch, an import and after a restore, not after a move or a migration: see ``work.queue``.
    """
    restored = webhook.database != place.database and webhook.epoch != place.epoch
    return webhook.tenant_id != place.id or restored


def list_webhooks(session: Session, *, after: UUID | None = None, limit: int | None = None) -> Sequence[TenantWebhook]:
    """Return webhooks in the order in which they were added. Raises ``TenantMigrating``."""
    statement = select(TenantWebhook).order_by(TenantWebhook.id).limit(limit)
    if after is not None:
        statement = statement.where(TenantWebhook.id > after)
    with needs_table(session, WEBHOOKS):
        return session.scalars(statement).all()


def get_webhook(session: Session, webhook_id: UUID, *, for_update: bool = False) -> TenantWebhook:
    """Return a webhook. Raises ``NotFound`` and ``TenantMigrating``."""
    with needs_table(session, WEBHOOKS):
        webhook = session.get(TenantWebhook, webhook_id, with_for_update=for_update or None)
    if webhook is None:
        raise NotFound("webhook", webhook_id)
    return webhook


def add_webhook(
    session: Session, access: Access, content: WebhookContent, readable: Collection[str], *, most: int
) -> TenantWebhook:
    """Add a webhook that is told of the changes from now on. Its address was checked.

    ``readable`` has the names of the resources that the person may read. Raises ``InvalidValue`` for a
    resource that is not among them, ``TooManyWebhooks`` and ``TenantMigrating``.
    """
    with needs_table(session, WEBHOOKS):
        if (session.scalar(select(func.count()).select_from(TenantWebhook)) or 0) >= most:
            raise TooManyWebhooks(most)
    place = access.require_tenant()
    webhook = TenantWebhook(
        secret=new_secret(),
        failures=0,
        created_by_id=access.person.id,
        created_by_name=access.person.name,
        name=content.name,
        url=content.url,
        resources=_resources(content, readable),
        active=content.active,
        off_reason=None if content.active else BY_PEOPLE,
        position=present_position(session),
        tenant_id=place.id,
        database=place.database,
        epoch=place.epoch,
    )
    session.add(webhook)
    session.flush()
    return webhook


def change_webhook(
    session: Session, access: Access, webhook: TenantWebhook, content: WebhookContent, readable: Collection[str]
) -> None:
    """Change a webhook, whose row is locked. See ``add_webhook``.

    One that is switched on begins with the changes from now on. If it came with a copy, its old messages are skipped.
    """
    place = access.require_tenant()
    resources = sorted(set(content.resources))
    if resources != json.loads(webhook.resources):
        webhook.resources = _resources(content, readable)
    webhook.name, webhook.url = content.name, content.url
    copied = is_copied(webhook, place)
    if content.active and (copied or not webhook.active):
        if copied:
            skip_pending(session, webhook.id)
        webhook.position, webhook.off_reason = present_position(session), None
        webhook.failures, webhook.failing_since = 0, None
        webhook.tenant_id, webhook.database, webhook.epoch = place.id, place.database, place.epoch
    elif not content.active and webhook.active:
        webhook.off_reason = BY_PEOPLE
    webhook.active = content.active
    session.flush()


def renew_secret(session: Session, webhook: TenantWebhook) -> None:
    """Give a webhook another secret. Messages are signed with it from now on."""
    webhook.secret = new_secret()
    session.flush()


def delete_webhook(session: Session, webhook: TenantWebhook) -> None:
    """Delete a webhook and its deliveries."""
    session.delete(webhook)
    session.flush()


def skip_pending(session: Session, webhook_id: UUID) -> None:
    """Skip what was not delivered yet."""
    pending = (TenantDelivery.webhook_id == webhook_id, TenantDelivery.state == DeliveryState.PENDING)
    session.execute(update(TenantDelivery).where(*pending).values(state=DeliveryState.SKIPPED))


def list_deliveries(
    session: Session, webhook_id: UUID, *, state: str | None = None, before: UUID | None = None, limit: int
) -> Sequence[TenantDelivery]:
    """Return the deliveries of a webhook, the newest first. Raises ``NotFound`` and ``TenantMigrating``."""
    get_webhook(session, webhook_id)
    statement = select(TenantDelivery).where(TenantDelivery.webhook_id == webhook_id)
    if state is not None:
        statement = statement.where(TenantDelivery.state == state)
    if before is not None:
        statement = statement.where(TenantDelivery.id < before)
    return session.scalars(statement.order_by(TenantDelivery.id.desc()).limit(limit)).all()


def replay_delivery(session: Session, place: TenantPlace, delivery_id: UUID) -> TenantDelivery:
    """Have a delivery sent again, under the same id, and the waiting ones of its webhook tried without a pause.

    Raises ``NotFound``, ``WebhookOff`` and ``TenantMigrating``.
    """
    with needs_table(session, WEBHOOKS):
        delivery = session.get(TenantDelivery, delivery_id)
    if delivery is None:
        raise NotFound("delivery", delivery_id)
    webhook = get_webhook(session, delivery.webhook_id)
    if not webhook.active or is_copied(webhook, place):
        raise WebhookOff
    delivery.state, delivery.attempts = DeliveryState.PENDING, 0
    session.flush()
    pending = (TenantDelivery.webhook_id == webhook.id, TenantDelivery.state == DeliveryState.PENDING)
    session.execute(update(TenantDelivery).where(*pending).values(due_at=utcnow()))
    return delivery


def _resources(content: WebhookContent, readable: Collection[str]) -> str:
    for number, name in enumerate(content.resources):
        if name not in readable:
            raise InvalidValue(f"resources/{number}", "There is no such resource whose changes you may read.")
    return json.dumps(sorted(set(content.resources)))


def described(webhook: TenantWebhook) -> dict[str, Any]:
    """Return what the audit trail says of a webhook: no secret, and no query of its address, which may hold one."""
    return {
        "webhook": str(webhook.id),
        "name": webhook.name,
        "url": webhook.url.partition("?")[0],
        "resources": json.loads(webhook.resources),
        "active": webhook.active,
    }
