"""The identity provider of a tenant over HTTP: administrators configure it, and require it."""

from typing import Annotated, Any

from pydantic import Field
from pyramid.config import Configurator
from pyramid.response import Response

from tenantapp.account import answers
from tenantapp.api.json import Body
from tenantapp.api.views import api_view
from tenantapp.content import example
from tenantapp.federation import providers
from tenantapp.federation.errors import IdentityProviderUnavailable
from tenantapp.federation.models import (
    CLAIM_LENGTH,
    CLIENT_LENGTH,
    GROUP_LENGTH,
    ISSUER_LENGTH,
    IdentityProvider,
)
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import Tenant
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.request import TenantRequest

TAG = "single-sign-on"
# A value of acr or amr, without the spaces that separate them.
FactorValue = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[!-~]+$")]


class GroupRole(Body):
    """Whom the provider says to be in this group gets this role."""

    group: str = Field(min_length=1, max_length=GROUP_LENGTH)
    role: str = Field(max_length=50)


class ProviderSettings(
    Body,
    json_schema_extra=example(
        {
            "name": "Acme's directory",
            "issuer": "https://login.example.com",
            "client_id": "tenantapp",
            "client_secret": "a secret of the provider",
            "roles": [{"group": "staff", "role": "author"}],
            "default_role": "reader",
        }
    ),
):
    """The body of ``PUT /identity-provider``. Without ``client_secret``, the one that is there is kept."""

    name: str = Field(max_length=1000)
    issuer: str = Field(max_length=ISSUER_LENGTH)
    client_id: str = Field(min_length=1, max_length=CLIENT_LENGTH, pattern=r"^[ -~]+$")
    client_secret: str | None = Field(None, max_length=2000)
    groups_claim: str = Field("groups", min_length=1, max_length=CLAIM_LENGTH)
    default_role: str | None = Field(None, max_length=50)
    factor_values: list[FactorValue] = Field(default_factory=list, max_length=20)
    roles: list[GroupRole] = Field(default_factory=list, max_length=200)


class ProviderUse(Body, json_schema_extra=example({"required": True})):
    """The body of ``PATCH /identity-provider``: what to change."""

    required: bool | None = None
    only_provisioned: bool | None = None


@api_view(
    "identity_provider",
    "GET",
    permission=Permission.MEMBERS_MANAGE,
    answer=answers.IdentityProvider,
    tag=TAG,
    problems=("not_found", "token_not_allowed"),
)
def read_provider(request: TenantRequest) -> dict[str, Any]:
    """Return the identity provider of the tenant, without its secret."""
    request.access.refuse_tokens()
    return _shown(request, providers.get_provider(request.user_session, request.access.require_tenant().id))


@api_view(
    "identity_provider",
    "PUT",
    permission=Permission.MEMBERS_MANAGE,
    body=ProviderSettings,
    writes="user",
    fresh=True,
    answer=answers.IdentityProvider,
    tag=TAG,
    problems=("beyond_your_rights", "single_sign_on_in_use", "token_not_allowed"),
)
def set_provider(request: TenantRequest) -> dict[str, Any]:
    """Configure the identity provider of the tenant. It is asked first what it publishes."""
    request.access.refuse_tokens()
    body: ProviderSettings = request.checked_body
    _check_issuer(request, body.issuer)
    content = providers.ProviderContent(
        name=body.name,
        issuer=body.issuer,
        client_id=body.client_id,
        client_secret=body.client_secret,
        groups_claim=body.groups_claim,
        default_role=body.default_role,
        factor_values=body.factor_values,
        roles=[(each.group, each.role) for each in body.roles],
    )
    secret = request.registry.app_settings.tenancy_secret
    return _shown(request, providers.set_provider(request.user_session, request.access, content, secret))


@api_view(
    "identity_provider",
    "PATCH",
    permission=Permission.MEMBERS_MANAGE,
    body=ProviderUse,
    writes="user",
    fresh=True,
    answer=answers.IdentityProvider,
    tag=TAG,
    problems=("beyond_your_rights", "not_found", "single_sign_on_untried", "token_not_allowed"),
)
def change_use(request: TenantRequest) -> dict[str, Any]:
    """Require single sign-on of the tenant's people, or no longer; let only provisioned people in, or others too.

    It holds from the next request.
    """
    request.access.refuse_tokens()
    body: ProviderUse = request.checked_body
    session, access = request.user_session, request.access
    if body.required is not None:
        providers.require(session, access, body.required)
    if body.only_provisioned is not None:
        providers.admit(session, access, body.only_provisioned)
    return _shown(request, providers.get_provider(session, access.require_tenant().id))


@api_view(
    "identity_provider",
    "DELETE",
    permission=Permission.MEMBERS_MANAGE,
    writes="user",
    fresh=True,
    answer=None,
    tag=TAG,
    problems=("beyond_your_rights", "not_found", "single_sign_on_in_use", "token_not_allowed"),
)
def delete_provider(request: TenantRequest) -> Response:
    """Remove the identity provider. Sessions, API tokens and roles that came by it end."""
    request.access.refuse_tokens()
    providers.remove_provider(request.user_session, request.access)
    return Response(status=204)


def _check_issuer(request: TenantRequest, issuer: str) -> None:
    if "?" in issuer:
        raise InvalidValue("issuer", "The address of a provider has no query.")
    try:
        request.registry.issuers.metadata(issuer)
    except IdentityProviderUnavailable as error:
        raise InvalidValue("issuer", str(error)) from error


def _shown(request: TenantRequest, provider: IdentityProvider) -> dict[str, Any]:
    tenant = request.user_session.get_one(Tenant, provider.tenant_id)
    return {
        "id": provider.id,
        "name": provider.name,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "has_secret": provider.client_secret is not None,
        "groups_claim": provider.groups_claim,
        "default_role": provider.default_role,
        "factor_values": provider.factor_values.split(),
        "roles": [{"group": each.group, "role": each.role} for each in provider.roles],
        "required": tenant.single_sign_on_required,
        "only_provisioned": provider.only_provisioned,
        "start": f"/sso/{tenant.slug}/start",
        "callback": request.route_url("sso_callback"),
        "signed_in_by_it": request.access.identity_provider_id == provider.id,
    }


def includeme(config: Configurator) -> None:
    """Add the route."""
    config.add_route("identity_provider", "/identity-provider")
