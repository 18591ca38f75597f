"""The fleet as a whole over HTTP, for operators: its servers, its inconsistencies, and the state of its migration."""

from collections import Counter
from typing import Any, Final

from pyramid.config import Configurator
from sqlalchemy import func, select

from tenantapp.answers import Page
from tenantapp.console import answers
from tenantapp.console.answers import FleetServer, Migrations
from tenantapp.console.declarations import fleet_view
from tenantapp.databases.histories.histories import head_revision
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.migrating.run_record import RunStatus, latest_run
from tenantapp.fleet.migrating.status import TenantStatus, fleet_status, revisions_in_use
from tenantapp.fleet.reconciling.reconcile import Finding, find
from tenantapp.identity.models import Tenant
from tenantapp.operations.models import OperationState
from tenantapp.tenancy.request import TenantRequest

MOST_FAILURES: Final = 500  # named in one answer


@fleet_view("fleet_servers", "GET", answer=Page[FleetServer])
def list_servers(request: TenantRequest) -> dict[str, Any]:
    """Return the servers of the settings, and the number of tenants on each, in any state."""
    counts = dict(request.user_session.execute(select(Tenant.server, func.count()).group_by(Tenant.server)).all())
    servers = request.registry.servers
    items = [
        {
            "name": name,
            "engine": server.url.get_backend_name(),
            "default": server is servers.default,
            "tenants": counts.get(name, 0),
        }
        for name, server in servers.items()
    ]
    return {"items": items, "next": None}


@fleet_view("fleet_findings", "GET", answer=Page[answers.Finding], problems=("server_unavailable",))
def list_findings(request: TenantRequest) -> dict[str, Any]:
    """Return where the user database and the servers disagree. Every server is queried."""
    return {"items": [_finding(found) for found in find(request.registry.fleet, KINDS)], "next": None}


@fleet_view("fleet_migrations", "GET", answer=Migrations)
def read_migrations(request: TenantRequest) -> dict[str, Any]:
    """Return the last run, how many tenants are at each revision, their last migrations' states, and the failures."""
    run = latest_run(request.user_session)
    statuses = fleet_status(request.user_session)
    failed = [status for status in statuses if status.state == OperationState.FAILED]
    states = Counter(status.state for status in statuses)
    return {
        "head": head_revision(request.registry.app_settings, "tenant"),
        "run": None if run is None else _run(run),
        "revisions": [{"revision": name, "tenants": count} for name, count in revisions_in_use(statuses)],
        "states": [{"state": state, "tenants": count} for state, count in states.most_common()],
        "failures": [_failure(status) for status in failed[:MOST_FAILURES]],
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
    for what in ("servers", "findings", "migrations"):
        config.add_route(f"fleet_{what}", f"/fleet/{what}")
