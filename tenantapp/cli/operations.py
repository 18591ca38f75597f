"""The work of the commands for operations."""

from functools import partial
from typing import Any
from uuid import UUID

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.cli.progress import progress_bar
from tenantapp.cli.queue_or_run import queue_or_run
from tenantapp.fleet.kinds import KINDS
from tenantapp.operations.leases import is_worker_gone
from tenantapp.operations.models import Operation, OperationState
from tenantapp.operations.queue import get_operation, retry_operation


def retry(installation: Installation, operation_id: UUID, detach: bool, *, without_copy: bool) -> None:
    """Retry an operation, or queue it again, and print its state. Raises ``CommandFailed`` if it failed again."""
    with progress_bar() as report:
        queue_or_run(
            installation,
            KINDS,
            partial(retry_operation, kinds=KINDS, without_copy=without_copy),
            detach=detach,
            report=report,
            operation_id=operation_id,
        )
    if detach:
        click.echo(operation_id)
    else:
        say_state(installation, operation_id)


def say_state(installation: Installation, operation_id: UUID) -> None:
    """Print the state of an operation. Raises ``CommandFailed`` if it failed."""
    with installation.user_session(read_only=True) as session:
        operation = get_operation(session, operation_id)
        stopping = operation.cancel_requested and operation.state == OperationState.RUNNING
        if operation.state == OperationState.FAILED:
            raise CommandFailed(f"The operation failed and was undone: {operation.error}")
        click.echo(f"The operation {operation_id} is {'being stopped' if stopping else operation.state}.")


def row_of(operation: Operation) -> dict[str, Any]:
    """Return everything that commands show of an operation."""
    return {
        "id": operation.id,
        "kind": operation.kind,
        "tenant_id": operation.tenant_id,
        "slug": operation.slug,
        "state": operation.state,
        "worker_gone": is_worker_gone(operation),
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
