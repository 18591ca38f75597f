"""The services that request, retry, cancel and list operations. Commands and views call them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import CursorResult, delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tenantapp.identity.audit import local_requester as local_requester
from tenantapp.identity.audit import record
from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import Tenant
from tenantapp.operations.errors import OperationRefused, TenantBusy
from tenantapp.operations.kinds import Kind, Kinds, is_half_done
from tenantapp.operations.leases import database_time, finish, release
from tenantapp.operations.models import ACTIVE, FINISHED, UNFINISHED, Operation, OperationState
from tenantapp.sql.ids import uuid7
from tenantapp.trace_context import present_traceparent

SOURCES: Final = ("source", "backup_of")  # arguments with the id of the tenant whose data the operation copies


def request_operation(
    session: Session,
    kind: Kind,
    tenant: Tenant | None,
    arguments: Mapping[str, Any],
    requested_by: str,
    *,
    slug: str | None = None,
    after: timedelta = timedelta(0),
    operation_id: UUID | None = None,
) -> Operation:
    """Queue an operation. A worker may claim it once the transaction is committed and ``after`` has passed.

    ``arguments`` are JSON. They hold no secrets, because the audit trail keeps them. ``slug`` is for a tenant that the
    operation will make. Raises what the kind's ``prepare`` raises; nothing is queued then.
    """
    operation = Operation(
        id=operation_id or uuid7(),
        kind=kind.name,
        tenant_id=tenant.id if tenant else None,
        slug=tenant.slug if tenant else slug,
        arguments=dict(arguments),
        state=OperationState.QUEUED,
        attempts=0,
        result={},
        requested_by=requested_by,
        lease_until=database_time(session) + after if after else None,
        traceparent=present_traceparent(),
    )
    if kind.prepare is not None:
        kind.prepare(session, operation)
    session.add(operation)
    _record(session, f"{kind.name}.request", operation, by=requested_by, arguments=operation.arguments)
    _record_source(session, operation)
    session.flush()
    return operation


def get_operation(session: Session, operation_id: UUID) -> Operation:
    """Return the operation with this id. Raises ``NotFound``."""
    operation = session.get(Operation, operation_id)
    if operation is None:
        raise NotFound("operation", operation_id)
    return operation


def is_worked_on(session: Session, tenant_id: UUID) -> bool:
    """Return whether the tenant has an operation that is not finished."""
    unfinished = select(Operation.id).where(Operation.tenant_id == tenant_id, Operation.state.in_(UNFINISHED))
    return session.scalar(unfinished.limit(1)) is not None


def list_operations(
    session: Session,
    *,
    slug: str | None = None,
    state: str | None = None,
    kind: str | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[Operation]:
    """Return operations, the newest first: all, or those of a tenant, in a state, or of a kind.

    ``slug`` selects the operations of the tenant that has this slug now, and those that were requested under it.
    ``before`` continues a list: only operations with smaller ids are returned.
    """
    statement = select(Operation).order_by(Operation.id.desc()).limit(limit)
    if slug is not None:
        now_called_so = select(Tenant.id).where(Tenant.slug == slug).scalar_subquery()
        statement = statement.where(or_(Operation.slug == slug, Operation.tenant_id == now_called_so))
    if state is not None:
        statement = statement.where(Operation.state == state)
    if kind is not None:
        statement = statement.where(Operation.kind == kind)
    if before is not None:
        statement = statement.where(Operation.id < before)
    return list(session.scalars(statement))


def retry_operation(session: Session, operation_id: UUID, kinds: Kinds, *, without_copy: bool = False) -> Operation:
    """Queue a failed or cancelled operation again: from its step, or from the start if it was undone.

    An operation that failed and waits to be repeated is due at once. An operation whose undoing was given up is undone
    instead. With ``without_copy`` it may remove what no proved copy
    was kept of. Raises ``NotFound``, ``OperationRefused``, ``TenantBusy`` and what ``prepare`` raises.
    """
    operation = _locked(session, operation_id)
    kind = _kind_of(operation, kinds)
    waits = kind.repeats and operation.state == OperationState.QUEUED and operation.error is not None
    if not waits and operation.state not in (OperationState.FAILED, OperationState.CANCELLED):
        raise OperationRefused(
            f"The operation is {operation.state}; only a failed or cancelled operation can be retried."
        )
    if without_copy:
        _let_go(operation, kind)
    operation.attempts, operation.cancel_requested = 0, False
    operation.finished_at = operation.lease_until = None
    if kind.undoes and operation.step is not None:
        _have_undone(session, operation)
    else:
        operation.state, operation.error = OperationState.QUEUED, None
        if kind.undoes and kind.prepare is not None:
            operation.result = {}
            kind.prepare(session, operation)  # it may finish the operation
    said: dict[str, Any] = {"copy": False} if without_copy else {}
    _record(session, "operation.retry", operation, kind=operation.kind, **said)
    session.flush()
    return operation


def cancel_operation(session: Session, operation_id: UUID, kinds: Kinds) -> Operation:
    """Cancel an operation. A queued operation ends at once; a running one stops at its next ``check``.

    A running operation is then undone if its kind undoes. Raises ``NotFound``, ``OperationRefused`` if the operation is
    finished, and ``TenantBusy``.
    """
    operation = _locked(session, operation_id)
    kind = _kind_of(operation, kinds)
    if operation.state in FINISHED:
        raise OperationRefused(f"The operation is {operation.state} already.")
    operation.cancel_requested = True
    if operation.state not in ACTIVE:
        if kind.undoes and operation.step is not None:
            _have_undone(session, operation)
        else:
            finish(session, operation, OperationState.CANCELLED)
            if kind.withdraw is not None:
                kind.withdraw(session, operation)
    _record(session, "operation.cancel", operation, kind=operation.kind)
    session.flush()
    return operation


def sweep_operations(session: Session, older: timedelta, kinds: Kinds) -> int:
    """Delete the operations that finished longer than ``older`` ago, except half-done ones. Return how many."""
    finished = Operation.state.in_(FINISHED) & ~is_half_done(kinds)
    old = delete(Operation).where(finished, Operation.finished_at < database_time(session) - older)
    return cast("CursorResult[object]", session.execute(old)).rowcount


def _let_go(operation: Operation, kind: Kind) -> None:
    if not kind.keeps:
        raise OperationRefused(f"An operation of the kind {kind.name} keeps no copy, and needs none.")
    operation.arguments = {**operation.arguments, "copy": False}


def _have_undone(session: Session, operation: Operation) -> None:
    """Let a worker undo the operation at once. Raises ``TenantBusy`` if another operation works on the tenant."""
    slug = operation.slug
    operation.state = OperationState.UNDOING
    try:
        release(session, operation)
        session.flush()
    except IntegrityError:
        raise TenantBusy(slug) from None


def _locked(session: Session, operation_id: UUID) -> Operation:
    operation = session.scalar(select(Operation).where(Operation.id == operation_id).with_for_update())
    if operation is None:
        raise NotFound("operation", operation_id)
    return operation


def _record(session: Session, action: str, operation: Operation, by: str | None = None, **detail: Any) -> None:
    detail = {"operation": str(operation.id), **detail}
    record(session, action, tenant_id=operation.tenant_id, slug=operation.slug, detail=detail, by=by)


def _record_source(session: Session, operation: Operation) -> None:
    """Record in the audit trail of the source who copies its data to another tenant."""
    given = next((operation.arguments[name] for name in SOURCES if name in operation.arguments), None)
    if given is None or UUID(given) == operation.tenant_id:
        return
    source = session.get(Tenant, UUID(given))
    detail = {"operation": str(operation.id), "to": operation.slug}
    slug = source.slug if source else None
    record(session, "tenant.copied", tenant_id=UUID(given), slug=slug, detail=detail, by=operation.requested_by)


def _kind_of(operation: Operation, kinds: Kinds) -> Kind:
    try:
        return kinds[operation.kind]
    except KeyError:
        raise OperationRefused(f"This version does not know operations of the kind {operation.kind}.") from None
