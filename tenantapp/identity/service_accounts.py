"""Make, list and remove service accounts: people without a password who belong to one tenant, for programs."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tenantapp.identity.audit import record
from tenantapp.identity.errors import NotFound
from tenantapp.identity.grants import add_grant
from tenantapp.identity.models import NAME_LENGTH, ApiToken, Grant, User
from tenantapp.identity.names import check_login, clean_name
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.tenancy.access import TenantPlace


def create_service_account(
    session: Session, tenant: TenantPlace, login: str, roles: Iterable[str], *, name: str | None = None
) -> User:
    """Make a service account with these roles. Raises ``InvalidValue``, ``NotFound`` and ``AlreadyExists``."""
    normal = check_login(login)
    account = User(login=normal, name=clean_name(name or login[:NAME_LENGTH]), service_tenant_id=tenant.id)
    session.add(account)
    flush_unique(session, "user", normal)
    given = sorted(set(roles))
    detail = {"login": normal, "roles": given}
    record(session, "service_account.create", tenant_id=tenant.id, slug=tenant.slug, detail=detail)
    for role in given:
        add_grant(session, tenant.id, role, login=normal)
    return account


def list_service_accounts(
    session: Session, tenant_id: UUID, *, after: UUID | None = None, limit: int | None = None
) -> list[User]:
    """Return the service accounts of a tenant, in the order in which they were made."""
    statement = select(User).where(User.service_tenant_id == tenant_id).order_by(User.id).limit(limit)
    if after is not None:
        statement = statement.where(User.id > after)
    return list(session.scalars(statement))


def find_service_account(session: Session, tenant_id: UUID, login: str) -> User:
    """Return the service account of a tenant with this login. Raises ``NotFound``, also if it is of another tenant."""
    found = session.scalar(select(User).where(User.service_tenant_id == tenant_id, User.login == login))
    if found is None:
        raise NotFound("service account", login)
    return found


def remove_service_account(session: Session, tenant: TenantPlace, account_id: UUID) -> None:
    """Remove a service account with its roles and tokens, from the next request on. Raises ``NotFound``."""
    account = session.get(User, account_id)
    if account is None or account.service_tenant_id != tenant.id:
        raise NotFound("service account", account_id)
    # They go with the account, so nothing else tells of them.
    roles = session.scalars(select(Grant.role).where(Grant.user_id == account.id).order_by(Grant.role)).all()
    tokens = session.scalar(select(func.count()).select_from(ApiToken).where(ApiToken.user_id == account.id))
    session.delete(account)
    session.flush()
    detail = {"login": account.login, "roles": list(roles), "tokens": tokens}
    record(session, "service_account.remove", tenant_id=tenant.id, slug=tenant.slug, detail=detail)
