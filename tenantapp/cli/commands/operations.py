"""Commands for operations: long pieces of work on the fleet."""

from uuid import UUID

import click

from tenantapp.cli.arguments import detach_option, json_option, operation_argument
from tenantapp.cli.completing import slugs
from tenantapp.cli.installation import Installation, pass_installation

STATES = ("queued", "running", "undoing", "succeeded", "failed", "cancelled")


@click.group()
def operations() -> None:
    """Operations: long work on tenants, and how far each is."""


@operations.command("list")
@click.option("--tenant", "slug", shell_complete=slugs, help="Only operations of this tenant.")
@click.option("--state", type=click.Choice(STATES), help="Only operations in this state.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The most operations to show."
)
@json_option
@pass_installation
def list_(installation: Installation, slug: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List operations, newest first."""
    from tenantapp.cli.operations import row_of
    from tenantapp.cli.output import show_rows
    from tenantapp.operations.queue import list_operations

    with installation.user_session(read_only=True) as session:
        rows = [row_of(found) for found in list_operations(session, slug=slug, state=state, limit=limit)]
    columns = ("id", "kind", "slug", "state", "worker_gone", "step", "percent", "requested_by", "created_at", "error")
    show_rows(rows, columns, as_json=as_json)


@operations.command()
@operation_argument
@json_option
@pass_installation
def show(installation: Installation, operation_id: UUID, as_json: bool) -> None:
    """Show everything about one operation."""
    from tenantapp.cli.operations import row_of
    from tenantapp.cli.output import show_one
    from tenantapp.operations.queue import get_operation

    with installation.user_session(read_only=True) as session:
        row = row_of(get_operation(session, operation_id))
    show_one(row, as_json=as_json)


@operations.command()
@operation_argument
@click.option("--without-copy", is_flag=True, help="Let a removal remove data of which no copy is proved.")
@detach_option
@pass_installation
def retry(installation: Installation, operation_id: UUID, without_copy: bool, detach: bool) -> None:
    """Retry a failed or cancelled operation.

    It continues with the step that failed. If it was undone, it starts again from its first step. If undoing it failed,
    it is undone again.
    """
    from tenantapp.cli.operations import retry

    retry(installation, operation_id, detach, without_copy=without_copy)


@operations.command()
@operation_argument
@pass_installation
def cancel(installation: Installation, operation_id: UUID) -> None:
    """Cancel an operation, and undo what it has done.

    Its worker stops at its next check, at the latest after the current step.
    """
    from tenantapp.cli.operations import say_state
    from tenantapp.fleet.kinds import KINDS
    from tenantapp.operations.queue import cancel_operation

    with installation.user_session() as session:
        cancel_operation(session, operation_id, KINDS)
    say_state(installation, operation_id)
