"""What the administrators of a tenant ask of those who work in it, over HTTP."""

from typing import Any, Self

from pydantic import model_validator
from pyramid.config import Configurator

from tenantapp.account import answers
from tenantapp.api.json import Body
from tenantapp.api.views import api_view
from tenantapp.content import example
from tenantapp.identity import impersonations
from tenantapp.identity.models import Tenant
from tenantapp.identity.permissions import Permission
from tenantapp.identity.roles import require_admin
from tenantapp.identity.tenants import require_second_factor
from tenantapp.tenancy.errors import SecondFactorRequired
from tenantapp.tenancy.request import TenantRequest


class TenantSettingsChange(Body, json_schema_extra=example({"second_factor_required": False})):
    """The body of ``PATCH /tenant/settings``. A field that is left out does not change."""

    # No field may be null, so a default means that the field was left out.
    second_factor_required: bool = False
    impersonation_forbidden: bool = False

    @model_validator(mode="after")
    def something(self) -> Self:
        """Raise ``ValueError`` if nothing is given."""
        if not self.model_fields_set:
            raise ValueError("Give at least one setting.")
        return self


@api_view(
    "tenant_settings",
    "GET",
    permission=Permission.MEMBERS_MANAGE,
    answer=answers.TenantSettings,
    problems=("token_not_allowed",),
)
def read_settings(request: TenantRequest) -> dict[str, Any]:
    """Return what the tenant asks of those who work in it."""
    request.access.refuse_tokens()
    return settings_object(request.user_session.get_one(Tenant, request.access.require_tenant().id))


@api_view(
    "tenant_settings",
    "PATCH",
    permission=Permission.MEMBERS_MANAGE,
    body=TenantSettingsChange,
    writes="user",
    fresh=True,
    answer=answers.TenantSettings,
    problems=("beyond_your_rights", "token_not_allowed"),
)
def change_settings(request: TenantRequest) -> dict[str, Any]:
    """Change what the tenant asks of those who work in it, from the next request on.

    Only who has all permissions of the role ``admin`` changes them. Only a person whose session has a second factor can
    require one: they would lock themselves out. Impersonations that are under way end when the tenant forbids them.
    """
    request.access.refuse_tokens()
    body: TenantSettingsChange = request.checked_body
    require_admin(request.user_session, request.access.permissions)
    if body.second_factor_required and not request.access.has_second_factor:
        raise SecondFactorRequired
    session, tenant_id = request.user_session, request.access.require_tenant().id
    if "second_factor_required" in body.model_fields_set:
        require_second_factor(session, tenant_id, body.second_factor_required)
    if "impersonation_forbidden" in body.model_fields_set:
        impersonations.forbid(session, tenant_id, body.impersonation_forbidden)
    return settings_object(session.get_one(Tenant, tenant_id))


def settings_object(tenant: Tenant) -> dict[str, Any]:
    """Return the settings of a tenant as the API shows them."""
    return {
        "second_factor_required": tenant.second_factor_required,
        "impersonation_forbidden": tenant.impersonation_forbidden,
    }


def includeme(config: Configurator) -> None:
    """Add the route."""
    config.add_route("tenant_settings", "/tenant/settings")
