"""Jobs in the application: the directive that declares them, the method that queues them, and their worker."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from pyramid.config import Configurator

from tenantapp.tenancy.request import SAFE_METHODS, TenantRequest
from tenantapp.work.declarations import RETRIES, DeclaredJobs, Handler
from tenantapp.work.errors import JobsError
from tenantapp.work.queue import NO_ARGUMENTS, NO_DELAY, Enqueue
from tenantapp.work.worker import JobWorker, job_host


def includeme(config: Configurator) -> None:
    """Put ``jobs`` and ``enqueue`` on the registry, add the directive ``add_job`` and the request's ``enqueue``."""
    registry = config.registry
    registry.jobs = DeclaredJobs()
    registry.enqueue = registry.tenant_dbs.enqueue = Enqueue(registry, lambda: registry.jobs)
    config.add_directive("add_job", add_job_directive, action_wrap=False)
    config.add_request_method(enqueue_in_request, "enqueue")
    if registry.app_settings.fleet_worker:
        outdated = registry.access_reader.outdated
        worker = JobWorker(registry.fleet, registry.tenant_dbs, registry.jobs, outdated)
        registry.worker_host.add(job_host(worker))


def add_job_directive(
    config: Configurator,
    name: str,
    handler: Handler | str,
    *,
    retries: int = RETRIES,
    every: str | None = None,
    cron: str | None = None,
    timeout: float | None = None,
) -> None:
    """Declare a job of the tenants.

    This is the configuration directive ``config.add_job("recount", "inventory.jobs:recount")``. The handler is a
    function of a ``Job``, or the name of one. A job that fails is tried again ``retries`` times. With ``every="1h"``,
    or ``cron="0 3 * * *"`` in UTC, it also runs by itself, in each tenant. ``timeout`` is how many seconds it may take.
    Raises ``JobsError``.
    """
    try:
        found = config.maybe_dotted(handler)
    except (ImportError, AttributeError, ValueError) as error:
        raise JobsError(f"The job {name} has the handler {handler}, which cannot be imported: {error}") from error
    config.registry.jobs.declare(name, found, retries=retries, every=every, cron=cron, timeout=timeout)


def enqueue_in_request(
    request: TenantRequest, name: str, arguments: Mapping[str, Any] = NO_ARGUMENTS, *, after: timedelta = NO_DELAY
) -> UUID:
    """Queue a job of the request's tenant in the request's transaction, and return its id. See ``queue.enqueue``.

    Raises ``RuntimeError`` if the request may not write to the tenant's database.
    """
    if request.writes != "tenant" or request.method in SAFE_METHODS:
        raise RuntimeError(f"the job {name} cannot be queued: this request does not write to the tenant's database")
    queue: Enqueue = request.registry.enqueue
    return queue(request.tenant_session, request.access, name, arguments, after=after)
