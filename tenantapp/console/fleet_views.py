"""The fleet as a whole over HTTP, for operators: its servers, its inconsistencies, and the state of its migration."""

from typing import Any, Final

from pyramid.config import Configurator
from sqlalchemy import func, select

from tenantapp.answers import Page
from tenantapp.console import answers
from tenantapp.console.answers import AskedServer, FleetServer, Migrations
from tenantapp.console.declarations import fleet_view
from tenantapp.console.usage_answers import Replication, ServingProcess
from tenantapp.databases.histories.histories import head_revision
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.migrating.run_record import RunStatus, latest_run
from tenantapp.fleet.migrating.status import TenantStatus, count_revisions, count_states, failed_migrations
from tenantapp.fleet.reconciling.reconcile import Finding, find
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import Tenant
from tenantapp.operations.errors import FleetError
from tenantapp.operations.replication import USER_DATABASE, standbys_by_server
from tenantapp.tenancy.request import TenantRequest
from tenantapp.tenancy.servers import Server, SqliteServer
from tenantapp.usage.processes import list_processes

MOST_FAILURES: Final = 500  # named in one answer
NO_DATABASE: Final = "tenant_"  # a name that no database has


@fleet_view("fleet_servers", "GET", answer=Page[FleetServer])
def list_servers(request: TenantRequest) -> dict[str, Any]:
    """Return the servers of the settings, and the tenants on each by state. No server is asked."""
    counts = _counts(request)
    items = [_server(request, server, counts) for server in request.registry.servers.values()]
    return {"items": items, "next": None}


@fleet_view("fleet_server", "GET", answer=AskedServer, problems=("not_found",))
def ask_server(request: TenantRequest) -> dict[str, Any]:
    """Return a server, after asking it whether it answers."""
    servers, name = request.registry.servers, request.matchdict["name"]
    if name not in servers:
        raise NotFound("server", name)
    answer = _server(request, servers[name], _counts(request))
    failure = _why_silent(servers[name], answer["tenants"])
    return answer | {"answers": failure is None, "failure": failure}


def _why_silent(server: Server, tenants: int) -> str | None:
    """Return why a server does not answer, or None if it does. The directory of a first tenant is not made yet."""
    if isinstance(server, SqliteServer) and tenants and not server.directory.is_dir():
        return f"There is no directory {server.directory}. Is a volume not mounted?"
    try:
        databases_on(server).size(NO_DATABASE)
    except FleetError as error:
        return str(error)
    return None


@fleet_view("fleet_findings", "GET", answer=Page[answers.Finding], problems=("server_unavailable",))
def list_findings(request: TenantRequest) -> dict[str, Any]:
    """Return where the user database and the servers disagree. Every server is queried."""
    return {"items": [_finding(found) for found in find(request.registry.fleet, KINDS)], "next": None}


@fleet_view("fleet_migrations", "GET", answer=Migrations)
def read_migrations(request: TenantRequest) -> dict[str, Any]:
    """Return the last run, how many tenants are at each revision, their last migrations' states, and the failures."""
    session = request.user_session
    run = latest_run(session)
    return {
        "head": head_revision(request.registry.app_settings, "tenant"),
        "run": None if run is None else _run(run),
        "revisions": [{"revision": name, "tenants": count} for name, count in count_revisions(session)],
        "states": [{"state": state, "tenants": count} for state, count in count_states(session)],
        "failures": [_failure(status) for status in failed_migrations(session, MOST_FAILURES)],
    }


@fleet_view("fleet_replication", "GET", answer=Page[Replication])
def list_replication(request: TenantRequest) -> dict[str, Any]:
    """Return the standbys of each PostgreSQL server, as a worker has seen them in the last two minutes."""
    found = standbys_by_server(request.user_session)
    items = [{"server": None if name == USER_DATABASE else name, "standbys": each} for name, each in found.items()]
    return {"items": items, "next": None}


def _counts(request: TenantRequest) -> dict[str, dict[str, int]]:
    """Return the numbers of tenants by server and state."""
    counts: dict[str, dict[str, int]] = {}
    grouped = select(Tenant.server, Tenant.state, func.count()).group_by(Tenant.server, Tenant.state)
    for name, state, number in request.user_session.execute(grouped.order_by(Tenant.state)):
        counts.setdefault(name, {})[state] = number
    return counts


@fleet_view("fleet_processes", "GET", answer=Page[ServingProcess])
def list_serving_processes(request: TenantRequest) -> dict[str, Any]:
    """Return the processes that serve, on all machines, with their connections. Each has reported it of late."""
    return {"items": list_processes(request.user_session), "next": None}


def _server(request: TenantRequest, server: Server, counts: dict[str, dict[str, int]]) -> dict[str, Any]:
    states = counts.get(server.name, {})
    return {
        "name": server.name,
        "engine": server.url.get_backend_name(),
        "address": server.address,
        "default": server is request.registry.servers.default,
        "tenants": sum(states.values()),
        "states": [{"state": state, "tenants": number} for state, number in states.items()],
    }


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "problem": found.problem,
        "server": found.server,
        "name": found.name,
        "id": found.id,
        "note": found.note,
    }


def _run(run: RunStatus) -> dict[str, Any]:
    return {
        "id": run.id,
        "state": run.state,
        "to": run.wanted,
        "requested_by": run.requested_by,
        "host": run.host,
        "jobs": run.jobs,
        "rehearsals": run.rehearsals,
        "stages": run.stages,
        "points": [{"seconds": seconds, "done": done} for seconds, done in run.points],
        "started_at": run.started_at,
        "seen_at": run.seen_at,
        "ended_at": run.ended_at,
        "stopped_by": run.stopped_by,
    }


def _failure(status: TenantStatus) -> dict[str, Any]:
    return {
        "slug": status.tenant,
        "from": status.found,
        "to": status.wanted,
        "error": status.error,
        "started_at": status.started_at,
    }


def includeme(config: Configurator) -> None:
    """Add the routes."""
    for what in ("servers", "findings", "migrations", "processes", "replication"):
        config.add_route(f"fleet_{what}", f"/fleet/{what}")
    config.add_route("fleet_server", "/fleet/servers/{name}")
