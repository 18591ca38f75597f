"""Backups and copies of tenants over HTTP, for operators. Administrators of a tenant can list its backups."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime, Field
from pyramid.config import Configurator

from tenantapp.answers import Page
from tenantapp.api.json import Body
from tenantapp.api.query import NoQuery
from tenantapp.api.views import api_view
from tenantapp.console.answers import Backup, NewerThanBackup
from tenantapp.console.declarations import FAILING, fleet_request, fleet_view
from tenantapp.console.resources import EXPIRES_IN, SLUG, accepted, backup_object, check_revision, check_server
from tenantapp.content import example
from tenantapp.fleet.backups.moments import Moment
from tenantapp.fleet.backups.requests import list_backups, request_backup, request_restore, request_restore_as
from tenantapp.fleet.backups.selection import find_backup
from tenantapp.fleet.backups.store import open_store
from tenantapp.fleet.copying.requests import request_adopt, request_clone, request_move
from tenantapp.fleet.querying.newer_changes import newer_changes
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.freshness import require_fresh
from tenantapp.identity.permissions import Permission
from tenantapp.identity.tenants import get_tenant, place_of, refuse_unfinished
from tenantapp.tenancy.request import TenantRequest
from tenantapp.tenancy.servers import SqliteServer

READING_BACKUPS: Final = ("backup_refused", "backup_damaged")
RESTORING: Final = (
    *READING_BACKUPS,
    "reauthentication_required",
    "already_exists",
    "operation_refused",
    "tenant_expires",
    "unknown_revision",
)
COMPARING: Final = (*READING_BACKUPS, "tenant_unfinished", "tenant_unavailable", "tenant_migrating")
COPYING: Final = ("already_exists", "copy_refused")


class Restore(Body, json_schema_extra=example({"as": "acme-of-may", "name": "Acme as it was"})):
    """The body of ``POST /fleet/tenants/{slug}/restore``.

    With ``as``, the backup becomes a new tenant. Without it, the tenant is restored in place. Without ``backup``, the
    newest backup is used. With ``at``, it is what the tenant had then, from the archive of its server.
    """

    backup: str | None = Field(None, max_length=200)
    at: AwareDatetime | None = None
    new_slug: str | None = Field(None, max_length=1000, alias="as")
    name: str | None = Field(None, max_length=1000)


class Clone(Body, json_schema_extra=example({"slug": "acme-trial", "name": "Acme, a trial"})):
    """The body of ``POST /fleet/tenants/{slug}/clone``. With ``expires_in``, in seconds, the new tenant is a branch."""

    slug: str = Field(max_length=1000)
    name: str | None = Field(None, max_length=1000)
    server: str | None = Field(None, max_length=1000)
    without_people: bool = False
    expires_in: int | None = EXPIRES_IN


class Move(Body, json_schema_extra=example({"server": "main"})):
    """The body of ``POST /fleet/tenants/{slug}/move``."""

    server: str = Field(max_length=1000)


class Adoption(Body, json_schema_extra=example({"slug": "hooli", "database": "hooli.sqlite", "name": "Hooli"})):
    """The body of ``POST /fleet/adoptions``, which makes a tenant from an existing database."""

    slug: str = Field(max_length=1000)
    database: str = Field(min_length=1, max_length=1000)
    server: str | None = Field(None, max_length=1000)
    name: str | None = Field(None, max_length=1000)
    revision: str | None = Field(None, max_length=100)
    administrator: str | None = Field(None, max_length=1000)


@fleet_view("fleet_tenant_backups", "GET", answer=Page[Backup], problems=READING_BACKUPS)
def list_tenant_backups(request: TenantRequest) -> dict[str, Any]:
    """Return a tenant's backups, the newest first, in one page."""
    tenant = get_tenant(request.user_session, request.matchdict["slug"])
    return _backups(request, tenant.id)


class NewerQuery(NoQuery):
    """The backup to compare with. Without it, the newest."""

    backup: str | None = Field(None, max_length=200)


@fleet_view("fleet_tenant_newer", "GET", query=NewerQuery, answer=NewerThanBackup, problems=COMPARING)
def compare_with_backup(request: TenantRequest) -> dict[str, Any]:
    """Return what a tenant has that is newer than one of its backups. A restore in place would lose it."""
    tenant = get_tenant(request.user_session, request.matchdict["slug"])
    refuse_unfinished(tenant)
    store = open_store(request.registry.fleet.settings)
    backup = find_backup(store, tenant.id, tenant.slug, request.checked_query.backup)
    newer = newer_changes(request.registry.tenant_dbs, place_of(tenant), backup.created_at)
    return {
        "backup": backup_object(backup),
        "tables": [{"table": table, "rows": rows} for table, rows in newer.tables.items()],
        "last_at": newer.last_at,
        "complete": newer.complete,
    }


@fleet_request("fleet_tenant_backups", problems=("backup_refused", "tenant_unfinished"))
def create_backup(request: TenantRequest) -> dict[str, Any]:
    """Request a backup of a tenant."""
    return accepted(request, request_backup(*_subject(request), requested_by=request.access.person.login))


@fleet_request("fleet_tenant_restore", body=Restore, problems=RESTORING)
def restore_tenant(request: TenantRequest) -> dict[str, Any]:
    """Request the restore of a tenant from a backup, in place or as a new tenant."""
    body: Restore = request.checked_body
    subject, requester = _subject(request), request.access.person.login
    if body.at is not None and body.backup is not None:
        raise InvalidValue("at", "Give a backup or a time, not both.")
    wanted: dict[str, Any] = {"backup": body.backup, "at": None if body.at is None else Moment(body.at)}
    if body.new_slug is not None:
        operation = request_restore_as(*(*subject, body.new_slug), name=body.name, **wanted, requested_by=requester)
    elif body.name is not None:
        raise InvalidValue("name", "Give a name only together with as, for a new tenant.")
    else:
        require_fresh(request)  # it replaces what the tenant has now
        operation = request_restore(*subject, **wanted, requested_by=requester)
    return accepted(request, operation)


@fleet_request("fleet_tenant_clone", body=Clone, problems=COPYING)
def clone_tenant(request: TenantRequest) -> dict[str, Any]:
    """Request a new tenant with a copy of another tenant's data."""
    body: Clone = request.checked_body
    check_server(request, body.server)
    operation = request_clone(
        *_subject(request),
        body.slug,
        name=body.name,
        server=body.server,
        without_people=body.without_people,
        expires_in=None if body.expires_in is None else timedelta(seconds=body.expires_in),
        requested_by=request.access.person.login,
    )
    return accepted(request, operation)


@fleet_request("fleet_tenant_move", body=Move, problems=("copy_refused", "operation_refused"))
def move_tenant(request: TenantRequest) -> dict[str, Any]:
    """Request the move of a tenant to another server."""
    server = request.checked_body.server
    check_server(request, server)
    return accepted(request, request_move(*_subject(request), server, requested_by=request.access.person.login))


@fleet_request("fleet_adoptions", body=Adoption, problems=(*COPYING, "unknown_revision"))
def adopt_database(request: TenantRequest) -> dict[str, Any]:
    """Request a new tenant with a copy of an existing database. The original does not change."""
    body: Adoption = request.checked_body
    if body.administrator is not None:
        require_fresh(request)
    check_server(request, body.server)
    check_revision(request, body.revision)
    operation = request_adopt(
        request.user_session,
        request.registry.fleet,
        body.slug,
        _original(request, body),
        server=body.server,
        name=body.name,
        revision=body.revision,
        administrator=body.administrator,
        requested_by=request.access.person.login,
    )
    return accepted(request, operation)


@api_view(
    "tenant_backups",
    "GET",
    permission=Permission.TENANT_EXPORT,
    answer=Page[Backup],
    problems=(*READING_BACKUPS, *FAILING),
)
def list_own_backups(request: TenantRequest) -> dict[str, Any]:
    """Return the backups of the selected tenant, the newest first, in one page."""
    return _backups(request, request.access.require_tenant().id)


def _backups(request: TenantRequest, tenant_id: UUID) -> dict[str, Any]:
    records = list_backups(request.registry.fleet, tenant_id)
    return {"items": [backup_object(record) for record in records], "next": None}


def _subject(request: TenantRequest) -> tuple[Any, Any, str]:
    return request.user_session, request.registry.fleet, request.matchdict["slug"]


def _original(request: TenantRequest, body: Adoption) -> str:
    """Return the database to copy. On SQLite it must be in the server's directory: operators may read no other file."""
    servers = request.registry.servers
    server = servers.chosen(body.server)
    if not isinstance(server, SqliteServer):
        return body.database
    if "/" in body.database or "\0" in body.database or body.database in (".", ".."):
        raise InvalidValue("database", "Over HTTP, the database must be a file in the server's directory.")
    return str(server.directory / body.database)


def includeme(config: Configurator) -> None:
    """Add the routes."""
    for what in ("backups", "newer", "restore", "clone", "move"):
        config.add_route(f"fleet_tenant_{what}", f"/fleet/tenants/{SLUG}/{what}")
    config.add_route("fleet_adoptions", "/fleet/adoptions")
    config.add_route("tenant_backups", "/tenant/backups")
