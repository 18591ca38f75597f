"""Checks of the tenants and the operations in the user database. No tenant database is queried."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from tenantapp.cli.checks.examination import Examination, Finding, count, ok, warning, wrong
from tenantapp.databases.histories.revisions import TenantHistory, outdated_revisions
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.operations.leases import database_time
from tenantapp.operations.models import ACTIVE, Operation, OperationState


def tenants(examination: Examination) -> Iterator[Finding]:
    """Check the revisions and the servers of the tenants."""
    installation, name = examination.installation, "tenants"
    with installation.user_session(read_only=True) as session:
        revisions = _counted(session, Tenant.revision)
        on_servers = _counted(session, Tenant.server)
    findings = [*_elsewhere(on_servers, installation.settings.servers), *_not_at_head(examination, revisions)]
    yield from findings
    if not findings:
        total = sum(revisions.values())
        yield ok(name, f"{count(total, 'tenant')}, at the newest revision" if total else "there are none yet")


def operations(examination: Examination) -> Iterator[Finding]:
    """Look for waiting tenants, and for operations that need attention."""
    name = "operations"
    with examination.installation.user_session(read_only=True) as session:
        fenced = _number(session, Tenant.migrating_until.is_not(None))
        unfinished = _number(session, Tenant.state == TenantState.CREATING)
        failed = session.scalar(select(func.count()).where(_failed_for_good())) or 0
        lost = and_(Operation.state.in_(ACTIVE), Operation.lease_until <= database_time(session))
        gone = session.scalar(select(func.count()).select_from(Operation).where(lost)) or 0
    look, resume = "See `tenantapp operations list`", "Run `tenantapp worker`, or `tenantapp worker --until-idle`"
    found = (
        (fenced, f"{count(fenced, 'tenant')} not served while being migrated", look),
        (unfinished, f"{count(unfinished, 'tenant')} not made yet", look),
        (failed, f"{count(failed, 'operation')} failed", "See `tenantapp operations list --state failed`"),
        (gone, f"{count(gone, 'operation')} whose worker has died", resume),
    )
    for number, detail, advice in found:
        if number:
            yield warning(name, detail, advice)
    if not any(number for number, _, _ in found):
        yield ok(name, "none failed, and no tenant waits for one")


def _not_at_head(examination: Examination, revisions: Mapping[str | None, int]) -> Iterator[Finding]:
    settings = examination.installation.settings
    history = TenantHistory(settings)
    known, outdated = history.up_to(history.head), outdated_revisions(settings)
    behind = sum(number for revision, number in revisions.items() if revision in known and revision != history.head)
    refused = sum(number for revision, number in revisions.items() if revision in outdated)
    unknown = sum(number for revision, number in revisions.items() if revision not in known)
    if refused:
        detail = f"{count(refused, 'tenant')} behind migrations.oldest and not served, {behind} behind {history.head}"
        yield wrong("tenants", detail, "Run `tenantapp migrate`")
    elif behind:
        yield warning("tenants", f"{count(behind, 'tenant')} behind {history.head}", "Run `tenantapp migrate`")
    if unknown:
        detail = f"{count(unknown, 'tenant')} at a revision that this version does not know"
        yield warning(
            "tenants", detail, "Install the version of the domain that has it; see `tenantapp migrate --status`"
        )


def _elsewhere(on_servers: Mapping[str | None, int], known: Mapping[str, object]) -> Iterator[Finding]:
    for server, number in on_servers.items():
        if server not in known:
            detail = f"{count(number, 'tenant')} on the server {server}, which the settings do not name"
            yield wrong("tenants", detail, f"Set servers.{server}")


def _counted(session: Session, column: InstrumentedAttribute[Any]) -> dict[str | None, int]:
    """Return the number of served tenants for each value of a column."""
    statement = select(column, func.count()).where(Tenant.is_served).group_by(column)
    return {row[0]: row[1] for row in session.execute(statement)}


def _number(session: Session, condition: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(Tenant).where(condition)) or 0


def _failed_for_good() -> ColumnElement[bool]:
    """Return the condition for failed operations without a later success of the same kind for the same tenant."""
    later = aliased(Operation)
    again = and_(later.kind == Operation.kind, later.slug == Operation.slug, later.id > Operation.id)
    succeeded = exists().where(again, later.state == OperationState.SUCCEEDED)
    return and_(Operation.state == OperationState.FAILED, ~succeeded)
