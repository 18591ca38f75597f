"""What the administrators of a tenant ask of those who work in it, over HTTP."""

from typing import Any

from pyramid.config import Configurator

from tenantapp.account import answers
from tenantapp.api.json import Body
from tenantapp.api.views import api_view
from tenantapp.content import example
from tenantapp.identity.models import Tenant
from tenantapp.identity.permissions import Permission
from tenantapp.identity.tenants import require_second_factor
from tenantapp.tenancy.errors import SecondFactorRequired
from tenantapp.tenancy.request import TenantRequest


class TenantSettingsChange(Body, json_schema_extra=example({"second_factor_required": False})):
    """The body of ``PATCH /tenant/settings``."""

    second_factor_required: bool


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
    problems=("token_not_allowed",),
)
def change_settings(request: TenantRequest) -> dict[str, Any]:
    """Require a second factor of everybody in the tenant, or no longer, from the next request on.

    Only a person whose session has a second factor can require one: they would lock themselves out.
    """
    request.access.refuse_tokens()
    required = request.checked_body.second_factor_required
    if required and not request.access.has_second_factor:
        raise SecondFactorRequired
    tenant_id = request.access.require_tenant().id
    return settings_object(require_second_factor(request.user_session, tenant_id, required))


def settings_object(tenant: Tenant) -> dict[str, Any]:
    """Return the settings of a tenant as the API shows them."""
    return {"second_factor_required": tenant.second_factor_required}


def includeme(config: Configurator) -> None:
    """Add the route."""
    config.add_route("tenant_settings", "/tenant/settings")
