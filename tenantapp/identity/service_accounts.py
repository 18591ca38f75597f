"""Make, list and remove service accounts: people without a password who belong to one tenant, for programs."""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidValue, NotFound, TooManyServiceAccounts
from tenantapp.identity.grants import add_grant
from tenantapp.identity.models import NAME_LENGTH, ApiToken, Grant, User
from tenantapp.identity.names import check_login, clean_name, normalize_login
from tenantapp.identity.roles import check_held
from tenantapp.identity.tenants import locked_tenant
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.tenancy.access import TenantPlace


def create_service_account(
    session: Session,
    tenant: TenantPlace,
    login: str,
    roles: Iterable[str],
    *,
    held: Collection[str] | None = None,
    most: int,
    name: str | None = None,
) -> User:
    """Make a service account with these roles. Its login is ``login``, ``@`` and a mark of the tenant.

    So an administrator of one tenant does not learn which logins there are outside of it. ``most`` is how many service
    accounts a tenant has at most. ``held`` are the permissions of who makes it, if they may not give every role. Raises
    ``InvalidValue``, ``NotFound``, ``AlreadyExists``, ``RoleBeyondRights`` and ``TooManyServiceAccounts``.
    """
    normal = check_login(_within(tenant.id, login))
    locked_tenant(session, tenant.id)  # of two requests at once, the second counts what the first has made
    there = select(func.count()).select_from(User).where(User.service_tenant_id == tenant.id)
    if (session.scalar(there) or 0) >= most:
        raise TooManyServiceAccounts(most)
    account = User(login=normal, name=clean_name(name or login[:NAME_LENGTH]), service_tenant_id=tenant.id)
    session.add(account)
    flush_unique(session, "service account", login)
    given = sorted(set(roles))
    detail = {"login": normal, "roles": given}
    record(session, "service_account.create", tenant_id=tenant.id, slug=tenant.slug, detail=detail)
    for role in given:
        add_grant(session, tenant.id, role, login=normal, held=held)
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
    """Return the service account of a tenant with this login, which may lack the mark of the tenant.

    Raises ``NotFound``, also if it is of another tenant.
    """
    try:
        normal = normalize_login(login)
    except InvalidValue:
        raise NotFound("service account", login) from None
    # Older versions of the program gave logins without a mark.
    wanted = User.login.in_((normal, _within(tenant_id, normal)))
    found = session.scalar(select(User).where(User.service_tenant_id == tenant_id, wanted).order_by(User.id))
    if found is None:
        raise NotFound("service account", login)
    return found


def _within(tenant_id: UUID, login: str) -> str:
    # The end of an id is random. A slug would not do: it can change, and then be given to another tenant.
    return f"{login}@{tenant_id.hex[-12:]}"


def remove_service_account(
    session: Session, tenant: TenantPlace, account_id: UUID, *, held: Collection[str] | None = None
) -> None:
    """Remove a service account with its roles and tokens, from the next request on.

    ``held`` is as in ``create_service_account``. Raises ``NotFound`` and ``RoleBeyondRights``.
    """
    account = session.get(User, account_id)
    if account is None or account.service_tenant_id != tenant.id:
        raise NotFound("service account", account_id)
    # They go with the account, so nothing else tells of them.
    roles = session.scalars(select(Grant.role).where(Grant.user_id == account.id).order_by(Grant.role)).all()
    for role in roles:
        check_held(session, role, held)
    tokens = session.scalar(select(func.count()).select_from(ApiToken).where(ApiToken.user_id == account.id))
    session.delete(account)
    session.flush()
    detail = {"login": account.login, "roles": list(roles), "tokens": tokens}
    record(session, "service_account.remove", tenant_id=tenant.id, slug=tenant.slug, detail=detail)
