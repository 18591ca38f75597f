"""Tenants over HTTP, for operators."""

from datetime import timedelta
from typing import Any, Final

from pydantic import Field, model_validator
from pyramid.config import Configurator

from tenantapp.answers import Page
from tenantapp.api.json import Body, OptionalBody
from tenantapp.api.query import PageQuery, page_of
from tenantapp.console.answers import FleetTenant, TenantSize
from tenantapp.console.declarations import fleet_change, fleet_request, fleet_view
from tenantapp.console.resources import EXPIRES_IN, SLUG, accepted, check_revision, check_server
from tenantapp.content import example
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.copying.appointing import appoint
from tenantapp.fleet.copying.branches import expire_after
from tenantapp.fleet.creating.create import request_create
from tenantapp.fleet.hooks.after import rename
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.migrating.kind import request_migration
from tenantapp.fleet.removing import deletion
from tenantapp.identity import connection_quotas, tenants
from tenantapp.identity.freshness import require_fresh
from tenantapp.identity.models import TenantState
from tenantapp.identity.storage_quotas import LARGEST, SMALLEST, set_storage_quota
from tenantapp.tenancy.request import TenantRequest
from tenantapp.usage.describing import describe_one, describe_tenants

NOT_SERVED: Final = ("tenant_unfinished", "tenant_deleted")
CHANGING: Final = (*NOT_SERVED, "tenant_expires", "already_exists")


class TenantQuery(PageQuery):
    """The filters of the list of tenants."""

    state: TenantState | None = None
    server: str | None = None
    revision: str | None = None
    q: str = Field("", max_length=200)


class NewTenant(Body, json_schema_extra=example({"slug": "initech", "name": "Initech"})):
    """The body of ``POST /fleet/tenants``. ``administrator`` is the login of who gets the role ``admin``."""

    slug: str = Field(max_length=1000)
    name: str | None = Field(None, max_length=1000)
    server: str | None = Field(None, max_length=1000)
    administrator: str | None = Field(None, max_length=1000)


class Appointment(Body, json_schema_extra=example({"administrator": "ada"})):
    """The body of ``POST /fleet/tenants/{slug}/administrator``: the login of who gets the role ``admin``."""

    administrator: str = Field(max_length=1000)


class TenantChange(Body, json_schema_extra=example({"name": "Globex Corporation"})):
    """The body of ``PATCH /fleet/tenants/{slug}``. A field that is left out does not change.

    ``expires_in`` is for branches: in so many seconds from now on it is deleted. With null it never is.
    ``storage_quota`` is in bytes, ``connection_quota`` in connections of all processes together. With null, that of
    the settings counts.
    """

    # No other field may be null, so a default means that the field was left out.
    slug: str = Field("", max_length=1000)
    name: str = Field("", max_length=1000)
    suspended: bool = False
    reason: str = Field("", max_length=1000)
    expires_in: int | None = EXPIRES_IN
    storage_quota: int | None = Field(None, ge=SMALLEST, le=LARGEST)
    connection_quota: int | None = Field(None, ge=connection_quotas.FEWEST, le=connection_quotas.MOST)

    @model_validator(mode="after")
    def reason_of_a_suspension(self) -> "TenantChange":
        """Raise ``ValueError`` unless a reason is given for a suspension, and for nothing else."""
        if self.suspended != ("reason" in self.model_fields_set):
            raise ValueError("Give a reason with suspended: true, and with nothing else.")
        return self


class Migration(Body, json_schema_extra=example({"to": None})):
    """The body of ``POST /fleet/tenants/{slug}/migrate``: the revision, or null for the newest."""

    to: str | None = Field(None, max_length=100)


class Purge(OptionalBody, json_schema_extra=example({"without_copy": True})):
    """The body of ``POST /fleet/tenants/{slug}/purge``. ``without_copy`` permits removal without a proved copy."""

    without_copy: bool = False


@fleet_view("fleet_tenants", "GET", query=TenantQuery, answer=Page[FleetTenant])
def list_tenants(request: TenantRequest) -> dict[str, Any]:
    """Return a page of tenants, by slug."""
    query: TenantQuery = request.checked_query
    found = tenants.list_tenants(
        request.user_session,
        state=query.state,
        server=query.server,
        revision=query.revision,
        words=query.q,
        after=query.after(),
        limit=query.limit + 1,
    )
    page = page_of(found, query.limit, lambda tenant: tenant.slug)
    return {"items": describe_tenants(request.user_session, page["items"]), "next": page["next"]}


@fleet_request("fleet_tenants", body=NewTenant, problems=("already_exists", "reauthentication_required"))
def create_tenant(request: TenantRequest) -> dict[str, Any]:
    """Make a tenant: at once if a warm database is ready, otherwise by a worker."""
    body: NewTenant = request.checked_body
    if body.administrator is not None:
        require_fresh(request)
    check_server(request, body.server)
    operation = request_create(
        request.user_session,
        request.registry.fleet,
        body.slug,
        name=body.name,
        server=body.server,
        administrator=body.administrator,
        requested_by=request.access.person.login,
    )
    return accepted(request, operation)


@fleet_view("fleet_tenant", "GET", answer=FleetTenant)
def read_tenant(request: TenantRequest) -> dict[str, Any]:
    """Return one tenant."""
    session = request.user_session
    return describe_one(session, tenants.get_tenant(session, request.matchdict["slug"]))


@fleet_view("fleet_tenant_size", "GET", answer=TenantSize)
def read_size(request: TenantRequest) -> dict[str, Any]:
    """Return the size of a tenant's database. Its server is asked."""
    tenant = tenants.get_tenant(request.user_session, request.matchdict["slug"])
    return {"size": databases_on(request.registry.servers[tenant.server]).size(tenant.database)}


@fleet_change("fleet_tenant", "PATCH", body=TenantChange, answer=FleetTenant, problems=CHANGING)
def change_tenant(request: TenantRequest) -> dict[str, Any]:
    """Rename, suspend or resume a tenant, or change when it expires or its quotas: all of it, or nothing."""
    session, slug = request.user_session, request.matchdict["slug"]
    body: TenantChange = request.checked_body
    given = body.model_fields_set
    tenant = tenants.get_tenant(session, slug)
    if "expires_in" in given:  # first, because a branch is renamed if it does not expire any more
        after = None if body.expires_in is None else timedelta(seconds=body.expires_in)
        tenant = expire_after(session, slug, after)
    if given & {"slug", "name"}:
        new_slug = body.slug if "slug" in given else slug
        tenant, _ = rename(
            *(session, request.registry.fleet, slug, new_slug),
            name=body.name if "name" in given else None,
            requested_by=request.access.person.login,
        )
    if body.suspended:
        tenant = tenants.suspend_tenant(session, tenant.slug, body.reason)
    elif "suspended" in given:
        tenants.resume_tenant(session, tenant.slug)
        tenant = tenants.served_tenant(session, tenant.slug)
    if "storage_quota" in given:
        default = request.registry.app_settings.quotas_storage
        tenant = set_storage_quota(session, tenant.slug, body.storage_quota, default)
    if "connection_quota" in given:
        tenant = connection_quotas.set_connection_quota(session, tenant.slug, body.connection_quota)
    return describe_one(session, tenant)


@fleet_change("fleet_tenant", "DELETE", answer=FleetTenant, problems=("tenant_unfinished",))
def delete_tenant(request: TenantRequest) -> dict[str, Any]:
    """Delete a tenant, from the next request on. Until ``purge_after`` it can be undeleted."""
    grace = timedelta(days=request.registry.app_settings.fleet_delete_grace)
    session = request.user_session
    return describe_one(session, deletion.delete_later(session, request.matchdict["slug"], grace))


@fleet_change("fleet_tenant_undelete", "POST", answer=FleetTenant, problems=("tenant_not_deleted", "operation_refused"))
def undelete_tenant(request: TenantRequest) -> dict[str, Any]:
    """Undelete a tenant. It gets back the state that it had before."""
    session = request.user_session
    return describe_one(session, deletion.undelete(session, request.matchdict["slug"], KINDS))


@fleet_change(
    "fleet_tenant_administrator",
    "POST",
    body=Appointment,
    fresh=True,
    answer=FleetTenant,
    problems=(*NOT_SERVED, "has_administrator"),
)
def appoint_administrator(request: TenantRequest) -> dict[str, Any]:
    """Give a tenant that has no administrator one: a person gets the role ``admin`` in it."""
    session = request.user_session
    return describe_one(session, appoint(session, request.matchdict["slug"], request.checked_body.administrator))


@fleet_request("fleet_tenant_purge", body=Purge, fresh=True, problems=("tenant_not_deleted", "copy_required"))
def purge_tenant(request: TenantRequest) -> dict[str, Any]:
    """Request the removal of a deleted tenant and its data before ``purge_after``."""
    operation = deletion.request_purge(
        *(request.user_session, request.registry.fleet, request.matchdict["slug"]),
        requested_by=request.access.person.login,
        copy=not request.checked_body.without_copy,
    )
    return accepted(request, operation)


@fleet_request("fleet_tenant_migrate", body=Migration, problems=(*NOT_SERVED, "migration_refused", "unknown_revision"))
def migrate_tenant(request: TenantRequest) -> dict[str, Any]:
    """Request the migration of a tenant's database up to a revision."""
    check_revision(request, request.checked_body.to)
    operation = request_migration(
        request.user_session,
        request.registry.fleet,
        request.matchdict["slug"],
        to=request.checked_body.to,
        requested_by=request.access.person.login,
    )
    return accepted(request, operation)


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("fleet_tenants", "/fleet/tenants")
    config.add_route("fleet_tenant", f"/fleet/tenants/{SLUG}")
    for what in ("size", "undelete", "purge", "migrate", "administrator"):
        config.add_route(f"fleet_tenant_{what}", f"/fleet/tenants/{SLUG}/{what}")
