"""Work on the operation that a command requests, or with ``--detach`` queue it for a worker."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import click

from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_one
from tenantapp.identity.models import Tenant
from tenantapp.operations.foreground import Request, run_now
from tenantapp.operations.kinds import Kinds
from tenantapp.operations.outcomes import Report, no_report
from tenantapp.operations.queue import get_operation


def queue_or_run(
    installation: Installation,
    kinds: Kinds,
    request: Request,
    *,
    detach: bool,
    report: Report = no_report,
    operation_id: UUID | None = None,
) -> dict[str, Any]:
    """Queue an operation and return its id and state, or work on it and return its id and result.

    ``operation_id`` names an operation that exists already. Raises what ``run_now`` raises.
    """
    if detach:
        with installation.user_session() as session:
            operation = request(session, operation_id=operation_id)
            return {"operation": operation.id, "state": operation.state}
    done = run_now(installation.fleet, kinds, request, operation_id=operation_id, report=report)
    with installation.user_session(read_only=True) as session:
        result = get_operation(session, done).result
    say_missing(result.get("files_missing", 0), result.get("files", 0))
    return {"operation": done, **result}


def say_missing(missing: int, files: int) -> None:
    """Say on stderr that some of a tenant's files have no content."""
    if missing:
        click.echo(f"The content of {missing} of {files} files was not found. They are listed without it.", err=True)


def place_made(installation: Installation, operation_id: UUID) -> dict[str, Any]:
    """Return where the tenant of a finished operation is now."""
    with installation.user_session(read_only=True) as session:
        tenant = session.get_one(Tenant, get_operation(session, operation_id).tenant_id)
        return {"slug": tenant.slug, "id": tenant.id, "server": tenant.server, "database": tenant.database}


def show_asked(row: Mapping[str, Any], *, detach: bool, as_json: bool, said: str | None = None) -> None:
    """Print what ``queue_or_run`` returned: the id of a queued operation, or else ``said``, or the whole row."""
    if as_json or (said is None and not detach):
        show_one(row, as_json=as_json)
    else:
        click.echo(row["operation"] if detach else said)
