"""The statements that read who makes a request and what they may do: by a web session, or by an API token."""

from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, LargeBinary, Select, SQLColumnExpression, Text, Uuid, and_, bindparam, or_, select

from tenantapp.identity.effective import granted_tenants, granted_text
from tenantapp.identity.models import ApiToken, Tenant, User, WebSession
from tenantapp.sql.prepared import PreparedSelect
from tenantapp.sql.times import UtcDateTime

TOKEN_TYPES: Final = {"token_hash": "bytea", "now": "timestamptz"}
SESSION_TYPES: Final = {**TOKEN_TYPES, "idle_since": "timestamptz"}
NAMED_TYPES: Final = {**SESSION_TYPES, "slug": "text"}
_TOKEN_HASH: Final = bindparam("token_hash", type_=LargeBinary)
_NOW: Final = bindparam("now", type_=UtcDateTime)
_IDLE_SINCE: Final = bindparam("idle_since", type_=UtcDateTime)
_SLUG: Final = bindparam("slug", type_=Text)

_PERSON: Final = (User.id.label("user_id"), User.login.label("login"), User.name.label("user_name"))
_TENANT: Final = (
    Tenant.id.label("tenant_id"),
    Tenant.slug.label("slug"),
    Tenant.name.label("tenant_name"),
    Tenant.state.label("state"),
    Tenant.state_reason.label("state_reason"),
    Tenant.revision.label("revision"),
    Tenant.migrating_until.label("migrating_until"),
    Tenant.server.label("server"),
    Tenant.database.label("database"),
    Tenant.epoch.label("epoch"),
    Tenant.second_factor_required.label("second_factor_required"),
    Tenant.single_sign_on_required.label("single_sign_on_required"),
    Tenant.identity_provider_id.label("provider_of_tenant"),
    Tenant.storage_full.label("storage_full"),
    Tenant.connection_quota.label("connection_quota"),
)


def session_statement(*further: ColumnElement[Any], named: bool = False) -> Select[*tuple[Any, ...]]:
    """Return the SELECT of all that a request needs, by the hash of its web session's token.

    ``further`` are additional columns. The tenant is the one that the web session has selected, or with ``named`` the
    one that has the parameter ``slug``. An operator who works as somebody else has only the selected one. The SELECT
    has no row if there is no such session, if it has expired, or if the person is disabled.
    """
    tenant_id: SQLColumnExpression[UUID | None] = Tenant.id if named else WebSession.tenant_id
    themselves, selected = WebSession.impersonator_id.is_(None), Tenant.id == WebSession.tenant_id
    return (
        select(
            *_PERSON,
            User.operator.label("operator"),
            WebSession.id.label("web_session_id"),
            WebSession.last_seen_at.label("last_seen_at"),
            WebSession.expires_at.label("expires_at"),
            WebSession.factors.label("factors"),
            WebSession.authenticated_at.label("authenticated_at"),
            WebSession.identity_provider_id.label("identity_provider_id"),
            User.identity_provider_id.label("provider_of_person"),
            WebSession.impersonator_id.label("impersonator_id"),
            *_TENANT,
            granted_text(WebSession.user_id, tenant_id).label("granted"),
            *further,
        )
        .select_from(WebSession)
        .join(User, User.id == WebSession.user_id)
        .outerjoin(Tenant, and_(Tenant.slug == _SLUG, or_(themselves, selected)) if named else selected)
        .where(WebSession.token_hash == _TOKEN_HASH, WebSession.expires_at > _NOW)
        .where(WebSession.last_seen_at > _IDLE_SINCE, User.enabled)
    )


def token_statement() -> Select[*tuple[Any, ...]]:
    """Return the SELECT of all that a request needs, by the hash of its API token.

    It has no row if there is no such token, if it has expired, or if the person is disabled.
    """
    return (
        select(
            *_PERSON,
            ApiToken.id.label("api_token_id"),
            ApiToken.permissions.label("permissions"),
            ApiToken.last_used_at.label("last_used_at"),
            ApiToken.expires_at.label("expires_at"),
            ApiToken.factors.label("factors"),
            ApiToken.identity_provider_id.label("identity_provider_id"),
            User.service_tenant_id.label("service_tenant_id"),
            *_TENANT,
            granted_text(ApiToken.user_id, ApiToken.tenant_id).label("granted"),
        )
        .select_from(ApiToken)
        .join(User, User.id == ApiToken.user_id)
        .join(Tenant, Tenant.id == ApiToken.tenant_id)
        .where(ApiToken.token_hash == _TOKEN_HASH, ApiToken.expires_at > _NOW, User.enabled)
    )


# Kept, as compiling them takes half of the time in which an application is made.
@cache
def prepared_session_statement(*, named: bool, tenants: bool) -> PreparedSelect[Any]:
    """Return ``session_statement``, prepared. With ``tenants`` it has the tenants that the person has a role in."""
    further = [granted_tenants(WebSession.user_id, _NOW).label("tenants")] if tenants else []
    name = f"tenantapp_access{'_by_slug' if named else ''}{'_with_conditions' if tenants else ''}"
    return PreparedSelect(name, session_statement(*further, named=named), NAMED_TYPES if named else SESSION_TYPES)


@cache
def prepared_token_statement() -> PreparedSelect[Any]:
    """Return ``token_statement``, prepared."""
    return PreparedSelect("tenantapp_access_by_token", token_statement(), TOKEN_TYPES)


class ImpersonationRow(NamedTuple):
    """Who works as the person of a web session, why, and whether they only read."""

    operator: str
    reason: str
    read_only: bool


@cache
def impersonation_statement() -> PreparedSelect[ImpersonationRow]:
    """Return the SELECT, prepared, of the impersonation in a web session. It has no row if who works is no operator.

    In the access statement it would cost every request a tenth of the server's time for that, even where nobody works
    as somebody else.
    """
    statement = (
        select(WebSession.impersonator, WebSession.impersonation_reason, WebSession.read_only)
        .join(User, User.id == WebSession.impersonator_id)
        .where(WebSession.id == bindparam("web_session_id", type_=Uuid), User.operator, User.enabled)
    )
    return PreparedSelect("tenantapp_impersonation", statement, {"web_session_id": "uuid"}, ImpersonationRow)
