"""The jobs of a tenant over HTTP: its administrators and operators list, retry and cancel them."""

from functools import partial
from typing import Any

from pyramid.config import Configurator

from tenantapp.answers import Page
from tenantapp.api.query import PageQuery, page_of
from tenantapp.api.views import ID, api_view, path_id
from tenantapp.console.answers import Job
from tenantapp.console.declarations import fleet_change, fleet_view
from tenantapp.console.resources import SLUG
from tenantapp.identity.permissions import Permission
from tenantapp.identity.tenants import place_of, served_tenant
from tenantapp.tenancy.models import JobState
from tenantapp.tenancy.request import TenantRequest
from tenantapp.work.administration import ManagedJobs, sessions_of


class JobQuery(PageQuery):
    """The filters of the list of jobs."""

    state: JobState | None = None
    name: str | None = None


def own_jobs(request: TenantRequest) -> ManagedJobs:
    """Return the jobs of the request's tenant. What is done to them commits in transactions of its own."""
    registry, access = request.registry, request.access
    sessions = partial(registry.tenant_dbs.begin, access)
    return ManagedJobs(registry.user_db, access.require_tenant(), sessions, request.actor)


def page_of_jobs(request: TenantRequest, jobs: ManagedJobs) -> dict[str, Any]:
    """Return the page of these jobs that the request asks for."""
    query: JobQuery = request.checked_query
    found = jobs.list(state=query.state, name=query.name, before=query.after_id(), limit=query.limit + 1)
    return page_of(found, query.limit, lambda job: str(job["id"]))


@api_view("tenant_jobs", "GET", permission=Permission.JOBS_MANAGE, query=JobQuery, answer=Page[Job])
def list_own_jobs(request: TenantRequest) -> dict[str, Any]:
    """Return a page of the tenant's jobs, newest first."""
    return page_of_jobs(request, own_jobs(request))


@api_view("tenant_job", "GET", permission=Permission.JOBS_MANAGE, answer=Job, problems=("not_found",))
def read_own_job(request: TenantRequest) -> dict[str, Any]:
    """Return a job of the tenant, with its progress while it runs."""
    return own_jobs(request).get(path_id(request))


@api_view(
    "tenant_job_retry",
    "POST",
    permission=Permission.JOBS_MANAGE,
    writes="user",
    answer=Job,
    problems=("not_found", "job_refused"),
)
def retry_own_job(request: TenantRequest) -> dict[str, Any]:
    """Do a failed or cancelled job again, or a queued one at once."""
    return own_jobs(request).retry(path_id(request))


@api_view(
    "tenant_job_cancel",
    "POST",
    permission=Permission.JOBS_MANAGE,
    writes="user",
    answer=Job,
    problems=("not_found", "job_refused"),
)
def cancel_own_job(request: TenantRequest) -> dict[str, Any]:
    """Cancel a job. A running one stops when it next asks whether to go on, and leaves nothing.

    A periodic job that was cancelled is not due again until it is retried.
    """
    return own_jobs(request).cancel(path_id(request))


def jobs_of_tenant(request: TenantRequest) -> ManagedJobs:
    """Return the jobs of the tenant in the path, for an operator. Raises ``NotFound``."""
    registry = request.registry
    # Not the request's session: on SQLite it would lock the user database, in which the change is recorded.
    with registry.user_db.begin(read_only=True) as session:
        place = place_of(served_tenant(session, request.matchdict["slug"]))
    sessions = sessions_of(registry.tenant_dbs, place)
    return ManagedJobs(registry.user_db, place, sessions, request.actor, by_operator=True)


@fleet_view("fleet_tenant_jobs", "GET", query=JobQuery, answer=Page[Job])
def list_jobs(request: TenantRequest) -> dict[str, Any]:
    """Return a page of a tenant's jobs, newest first."""
    return page_of_jobs(request, jobs_of_tenant(request))


@fleet_view("fleet_tenant_job", "GET", answer=Job)
def read_job(request: TenantRequest) -> dict[str, Any]:
    """Return a job of a tenant, with its progress while it runs."""
    return jobs_of_tenant(request).get(path_id(request))


@fleet_change("fleet_tenant_job_retry", "POST", answer=Job, problems=("job_refused",))
def retry_job(request: TenantRequest) -> dict[str, Any]:
    """Do a failed or cancelled job of a tenant again, or a queued one at once."""
    return jobs_of_tenant(request).retry(path_id(request))


@fleet_change("fleet_tenant_job_cancel", "POST", answer=Job, problems=("job_refused",))
def cancel_job(request: TenantRequest) -> dict[str, Any]:
    """Cancel a job of a tenant. A running one stops when it next asks whether to go on, and leaves nothing."""
    return jobs_of_tenant(request).cancel(path_id(request))


def includeme(config: Configurator) -> None:
    """Add the routes."""
    for name, path in (("tenant_job", "/tenant/jobs"), ("fleet_tenant_job", f"/fleet/tenants/{SLUG}/jobs")):
        config.add_route(f"{name}s", path)
        config.add_route(name, f"{path}/{ID}")
        for what in ("retry", "cancel"):
            config.add_route(f"{name}_{what}", f"{path}/{ID}/{what}")
