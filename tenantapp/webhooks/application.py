"""Webhooks in the application: the routes, the errors, the job, and who notices that there is something to deliver."""

from datetime import timedelta
from uuid import UUID

from pyramid.config import Configurator

from tenantapp.api.views import ID
from tenantapp.outgoing.addresses import Addresses
from tenantapp.outgoing.errors import TargetRefused
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.named_tenants import PREFIX
from tenantapp.webhooks import errors
from tenantapp.webhooks.delivering import Delivering
from tenantapp.webhooks.outbox import JOB, Limits, wanted_jobs
from tenantapp.work.visits import note_after_commit

BESIDES: float = 60.0  # seconds that a job may take besides the longest wait for a receiver


def includeme(config: Configurator) -> None:
    """Put ``webhook_addresses`` on the registry, declare the job, and add the routes and the views."""
    registry = config.registry
    settings = registry.app_settings
    registry.webhook_addresses = Addresses(
        allow_http=settings.webhooks_allow_http, allow_private=settings.webhooks_allow_private
    )
    limits = Limits(
        attempts=settings.webhooks_attempts,
        give_up=timedelta(days=settings.webhooks_give_up),
        keep=timedelta(days=settings.webhooks_keep),
    )
    registry.jobs.declare(
        JOB, Delivering(registry, settings, limits), timeout=settings.webhooks_timeout + BESIDES, kept=False
    )
    registry.jobs.sources.append(wanted_jobs)

    def note(tenant_id: UUID) -> None:
        # Tests replace the user database.
        note_after_commit(registry.user_db, tenant_id, utcnow())

    registry.tenant_dbs.on_watched = note
    config.add_problem(TargetRefused, 422, "invalid", pointer="field")
    config.add_problem(errors.TooManyWebhooks, 409, "too_many_webhooks")
    config.add_problem(errors.WebhookOff, 409, "webhook_off")
    registry.tags["webhooks"] = "Addresses that are told about changes in the tenant, and what was delivered to them."
    config.add_route("webhooks", f"{PREFIX}/webhooks")
    config.add_route("webhook", f"{PREFIX}/webhooks/{ID}")
    config.add_route("webhook_secret", f"{PREFIX}/webhooks/{ID}/secret")
    config.add_route("webhook_deliveries", f"{PREFIX}/webhooks/{ID}/deliveries")
    config.add_route("webhook_delivery_replay", f"{PREFIX}/webhook-deliveries/{ID}/replay")
    config.scan("tenantapp.webhooks.views")
