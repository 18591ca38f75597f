"""Webhooks over HTTP: administrators of a tenant add them, and see and repeat what was delivered."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from tenantapp.answers import Answer, Page
from tenantapp.api.json import apply_patch
from tenantapp.api.query import PageQuery, page_of
from tenantapp.api.views import MergePatch, api_view, path_id
from tenantapp.identity.audit import record, recording
from tenantapp.identity.permissions import Permission
from tenantapp.outgoing.addresses import Addresses
from tenantapp.resources.change_views import readable_resources
from tenantapp.tenancy.models import TenantDelivery, TenantWebhook
from tenantapp.tenancy.request import TenantRequest
from tenantapp.webhooks import rows
from tenantapp.webhooks.outbox import JOB, arguments_of

LOOK_UP: Final = 2.0  # seconds that a request waits for a name server


class Creator(Answer):
    """Who added a webhook, with the name that they had then."""

    id: UUID
    name: str


class Webhook(Answer):
    """A webhook. ``off_reason`` says why it is switched off; ``failures`` are those in a row."""

    id: UUID
    name: str
    url: str
    resources: list[str]
    active: bool
    off_reason: Literal["by_people", "copied", "failing", "gone"] | None
    failures: int
    failing_since: datetime | None
    created_at: datetime
    created_by: Creator


class WebhookWithSecret(Webhook):
    """A webhook with the secret that signs its messages. It is shown once."""

    secret: str


class Delivery(Answer):
    """A message to a webhook. ``answer`` is the status that the receiver answered, ``error`` what went wrong last.

    ``due_at`` is when a pending one is sent.
    """

    id: UUID
    webhook: UUID
    type: str
    state: Literal["pending", "delivered", "failed", "skipped"]
    attempts: int
    answer: int | None
    error: str | None
    message: dict[str, Any]
    created_at: datetime
    tried_at: datetime | None
    due_at: datetime | None


class DeliveriesQuery(PageQuery):
    """The query parameters of the list of deliveries."""

    state: Literal["pending", "delivered", "failed", "skipped"] | None = None


def webhook_object(request: TenantRequest, webhook: TenantWebhook) -> dict[str, Any]:
    """Return what is shown of a webhook. One that came with a copy is off, also before a worker has noticed."""
    copied = webhook.active and rows.is_copied(webhook, request.access.require_tenant())
    return {
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "resources": json.loads(webhook.resources),
        "active": webhook.active and not copied,
        "off_reason": rows.COPIED if copied else webhook.off_reason,
        "failures": webhook.failures,
        "failing_since": webhook.failing_since,
        "created_at": webhook.created_at,
        "created_by": {"id": webhook.created_by_id, "name": webhook.created_by_name},
    }


def delivery_object(delivery: TenantDelivery) -> dict[str, Any]:
    """Return what is shown of a delivery."""
    message = json.loads(delivery.body)
    return {
        "id": delivery.id,
        "webhook": delivery.webhook_id,
        "type": message["type"],
        "state": delivery.state,
        "attempts": delivery.attempts,
        "answer": delivery.answer,
        "error": delivery.error,
        "message": message,
        "created_at": delivery.created_at,
        "tried_at": delivery.tried_at,
        "due_at": delivery.due_at if delivery.state == "pending" else None,
    }


@api_view("webhooks", "GET", permission=Permission.WEBHOOKS_MANAGE, query=PageQuery, answer=Page[Webhook])
def list_webhooks(request: TenantRequest) -> dict[str, Any]:
    """Return a page of the tenant's webhooks, in the order in which they were added."""
    query: PageQuery = request.checked_query
    found = rows.list_webhooks(request.tenant_session, after=query.after_id(), limit=query.limit + 1)
    page = page_of(found, query.limit, lambda webhook: str(webhook.id))
    return {"items": [webhook_object(request, each) for each in page["items"]], "next": page["next"]}


@api_view(
    "webhooks",
    "POST",
    permission=Permission.WEBHOOKS_MANAGE,
    body=rows.WebhookContent,
    status=201,
    answer=WebhookWithSecret,
    headers=("Location",),
    problems=("too_many_webhooks",),
    in_batch=False,
)
def add_webhook(request: TenantRequest) -> dict[str, Any]:
    """Add a webhook: changes of these resources are sent to its address, from now on.

    The answer has the secret that signs the messages. No other answer has it.
    """
    content: rows.WebhookContent = request.checked_body
    _check_address(request, content)
    most = request.registry.app_settings.webhooks_most
    webhook = rows.add_webhook(request.tenant_session, request.access, content, _readable(request), most=most)
    _record(request, "webhook.add", rows.described(webhook))
    request.response.location = request.route_path("webhook", id=webhook.id)
    return {**webhook_object(request, webhook), "secret": webhook.secret}


@api_view("webhook", "GET", permission=Permission.WEBHOOKS_MANAGE, answer=Webhook, problems=("not_found",))
def read_webhook(request: TenantRequest) -> dict[str, Any]:
    """Return a webhook, without its secret."""
    return webhook_object(request, rows.get_webhook(request.tenant_session, path_id(request)))


@api_view(
    "webhook",
    "PATCH",
    permission=Permission.WEBHOOKS_MANAGE,
    body=MergePatch[rows.WebhookContent],
    answer=Webhook,
    problems=("not_found",),
    in_batch=False,
)
def change_webhook(request: TenantRequest) -> dict[str, Any]:
    """Change a webhook, or switch it off or on. One that is switched on is told of the changes from then on."""
    webhook = rows.get_webhook(request.tenant_session, path_id(request), for_update=True)
    content = apply_patch(request.checked_body, rows.content_of(webhook))
    if content.active or content.url != webhook.url:
        _check_address(request, content)
    rows.change_webhook(request.tenant_session, request.access, webhook, content, _readable(request))
    _record(request, "webhook.change", rows.described(webhook))
    if webhook.active:
        request.enqueue(JOB, arguments_of(webhook.id))  # it may have messages that wait
    return webhook_object(request, webhook)


@api_view(
    "webhook",
    "DELETE",
    permission=Permission.WEBHOOKS_MANAGE,
    answer=None,
    problems=("not_found",),
    in_batch=False,
)
def delete_webhook(request: TenantRequest) -> None:
    """Delete a webhook and the record of its deliveries."""
    webhook = rows.get_webhook(request.tenant_session, path_id(request), for_update=True)
    described = rows.described(webhook)
    rows.delete_webhook(request.tenant_session, webhook)
    _record(request, "webhook.delete", described)


@api_view(
    "webhook_secret",
    "POST",
    permission=Permission.WEBHOOKS_MANAGE,
    answer=WebhookWithSecret,
    problems=("not_found",),
    in_batch=False,
)
def renew_secret(request: TenantRequest) -> dict[str, Any]:
    """Give a webhook a new secret, which is shown once. The next message is signed with it."""
    webhook = rows.get_webhook(request.tenant_session, path_id(request), for_update=True)
    rows.renew_secret(request.tenant_session, webhook)
    _record(request, "webhook.renew_secret", {"webhook": str(webhook.id), "name": webhook.name})
    return {**webhook_object(request, webhook), "secret": webhook.secret}


@api_view(
    "webhook_deliveries",
    "GET",
    permission=Permission.WEBHOOKS_MANAGE,
    query=DeliveriesQuery,
    answer=Page[Delivery],
    problems=("not_found",),
)
def list_deliveries(request: TenantRequest) -> dict[str, Any]:
    """Return a page of a webhook's deliveries, newest first."""
    query: DeliveriesQuery = request.checked_query
    found = rows.list_deliveries(
        request.tenant_session, path_id(request), state=query.state, before=query.after_id(), limit=query.limit + 1
    )
    page = page_of(found, query.limit, lambda delivery: str(delivery.id))
    return {"items": [delivery_object(each) for each in page["items"]], "next": page["next"]}


@api_view(
    "webhook_delivery_replay",
    "POST",
    permission=Permission.WEBHOOKS_MANAGE,
    answer=Delivery,
    problems=("not_found", "webhook_off"),
    in_batch=False,
)
def replay_delivery(request: TenantRequest) -> dict[str, Any]:
    """Send a message again, under the same id, and end the pause of its webhook."""
    place = request.access.require_tenant()
    delivery = rows.replay_delivery(request.tenant_session, place, path_id(request))
    request.enqueue(JOB, arguments_of(delivery.webhook_id))
    _record(request, "webhook.replay", {"webhook": str(delivery.webhook_id), "delivery": str(delivery.id)})
    return delivery_object(delivery)


def _check_address(request: TenantRequest, content: rows.WebhookContent) -> None:
    addresses: Addresses = request.registry.webhook_addresses
    addresses.check(content.url, LOOK_UP)


def _record(request: TenantRequest, action: str, detail: Mapping[str, Any]) -> None:
    """Write to the audit trail, in a transaction of its own, which is committed before that of the tenant's database.

    So no change is unrecorded. If the tenant's commit fails, the entry says what was tried.
    """
    tenant = request.access.require_tenant()
    with recording(request.registry.user_db, request.actor) as session:
        record(session, action, tenant_id=tenant.id, slug=tenant.slug, detail=detail)


def _readable(request: TenantRequest) -> set[str]:
    """Return the names of the resources that the person may read."""
    return {resource.name for resource in readable_resources(request).values()}
