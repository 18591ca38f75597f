"""Commands for operations: long pieces of work on the fleet."""

from functools import partial
from typing import Any
from uuid import UUID

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.cli.output import json_option, show_one, show_rows
from tenantapp.cli.progress import progress_bar
from tenantapp.fleet.kinds import KINDS
from tenantapp.operations import queue as service
from tenantapp.operations.foreground import Request, run_now
from tenantapp.operations.models import ACTIVE, Operation, OperationState
from tenantapp.operations.outcomes import Report
from tenantapp.sql.times import utcnow

detach_option = click.option(
    "--detach", is_flag=True, help="Only queue it, for a worker, and print the operation's id."
)


@click.group()
def operations() -> None:
    """Operations: long pieces of work, and where each of them is."""


@operations.command("list")
@click.option("--tenant", "slug", help="Only those of this tenant.")
@click.option("--state", type=click.Choice([state.value for state in OperationState]), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@json_option
@pass_installation
def list_(installation: Installation, slug: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List the newest operations, newest first."""
    with installation.user_session(read_only=True) as session:
        rows = [row_of(found) for found in service.list_operations(session, slug=slug, state=state, limit=limit)]
    columns = ("id", "kind", "slug", "state", "worker_gone", "step", "percent", "requested_by", "created_at", "error")
    show_rows(rows, columns, as_json=as_json)


@operations.command()
@click.argument("operation_id", metavar="ID", type=click.UUID)
@json_option
@pass_installation
def show(installation: Installation, operation_id: UUID, as_json: bool) -> None:
    """Show all about one operation."""
    with installation.user_session(read_only=True) as session:
        row = row_of(service.get_operation(session, operation_id))
    show_one(row, as_json=as_json)


@operations.command()
@click.argument("operation_id", metavar="ID", type=click.UUID)
@detach_option
@pass_installation
def retry(installation: Installation, operation_id: UUID, detach: bool) -> None:
    """Do an operation that failed, or was cancelled, once more, from the step it failed in.

    One that was undone is begun anew; one whose undoing failed is undone.
    """
    if detach:
        with installation.user_session() as session:
            service.retry_operation(session, operation_id, KINDS)
        click.echo(operation_id)
        return
    with progress_bar() as report:
        run_now(
            installation.registry.fleet,
            KINDS,
            partial(service.retry_operation, kinds=KINDS),
            operation_id=operation_id,
            report=report,
        )
    _say_state(installation, operation_id)


@operations.command()
@click.argument("operation_id", metavar="ID", type=click.UUID)
@pass_installation
def cancel(installation: Installation, operation_id: UUID) -> None:
    """Stop an operation, and undo what it has done so far.

    Its worker stops when it next asks whether it may go on, at the latest after the step it is at.
    """
    with installation.user_session() as session:
        service.cancel_operation(session, operation_id, KINDS)
    _say_state(installation, operation_id)


def _say_state(installation: Installation, operation_id: UUID) -> None:
    with installation.user_session(read_only=True) as session:
        operation = service.get_operation(session, operation_id)
        stopping = operation.cancel_requested and operation.state == OperationState.RUNNING
        if operation.state == OperationState.FAILED:
            raise CommandFailed(f"The operation failed and was undone: {operation.error}")
        click.echo(f"The operation {operation_id} is {'to be stopped' if stopping else operation.state}.")


def do_or_queue(installation: Installation, request: Request, report: Report, *, detach: bool) -> dict[str, Any]:
    """Work on an operation and return its result, or only queue it; its id is in both.

    Raises what ``run_now`` does.
    """
    if detach:
        with installation.user_session() as session:
            operation = request(session)
            return {"operation": operation.id, "state": operation.state}
    operation_id = run_now(installation.registry.fleet, KINDS, request, report=report)
    with installation.user_session(read_only=True) as session:
        return {"operation": operation_id, **service.get_operation(session, operation_id).result}


def row_of(operation: Operation) -> dict[str, Any]:
    """All that is to be seen of an operation."""
    return {
        "id": operation.id,
        "kind": operation.kind,
        "tenant_id": operation.tenant_id,
        "slug": operation.slug,
        "state": operation.state,
        "worker_gone": _is_worker_gone(operation),
        "step": operation.step,
        "percent": round(operation.progress * 100),
        "progress_text": operation.progress_text,
        "arguments": operation.arguments,
        "result": operation.result,
        "error": operation.error,
        "requested_by": operation.requested_by,
        "attempts": operation.attempts,
        "cancel_requested": operation.cancel_requested,
        "lease_owner": operation.lease_owner,
        "lease_until": operation.lease_until,
        "created_at": operation.created_at,
        "started_at": operation.started_at,
        "finished_at": operation.finished_at,
    }


def _is_worker_gone(operation: Operation) -> bool:
    """By this machine's clock."""
    lease = operation.lease_until
    return operation.state in ACTIVE and lease is not None and lease <= utcnow()
