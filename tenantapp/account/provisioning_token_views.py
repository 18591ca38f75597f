"""The tokens for the directory of a tenant over HTTP: administrators make, see and revoke them."""

from typing import Any

from pydantic import Field
from pyramid.config import Configurator
from pyramid.response import Response

from tenantapp.account import provisioning_answers as answers
from tenantapp.api.json import Body
from tenantapp.api.views import ID, api_view, path_id
from tenantapp.content import example
from tenantapp.federation import provisioning_tokens
from tenantapp.federation.models import ProvisioningToken
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.request import TenantRequest

TAG = "single-sign-on"


class NewProvisioningToken(Body, json_schema_extra=example({"name": "Entra ID", "days": 365})):
    """The body of ``POST /provisioning-tokens``."""

    name: str = Field(max_length=1000)
    days: int = 365


@api_view(
    "provisioning_tokens",
    "GET",
    permission=Permission.MEMBERS_MANAGE,
    answer=answers.ProvisioningTokens,
    tag=TAG,
    problems=("token_not_allowed",),
)
def list_provisioning_tokens(request: TenantRequest) -> dict[str, Any]:
    """Return the tokens for the directory of the tenant, in the order of their making."""
    request.access.refuse_tokens()
    tenant = request.access.require_tenant()
    found = provisioning_tokens.list_tokens(request.user_session, tenant.id)
    return {"items": [_shown(token) for token in found], "base": f"{request.application_url}/scim/v2/{tenant.slug}"}


@api_view(
    "provisioning_tokens",
    "POST",
    permission=Permission.MEMBERS_MANAGE,
    body=NewProvisioningToken,
    writes="user",
    fresh=True,
    status=201,
    answer=answers.MadeProvisioningToken,
    tag=TAG,
    problems=("beyond_your_rights", "not_found", "too_many_tokens", "token_not_allowed"),
)
def create_provisioning_token(request: TenantRequest) -> dict[str, Any]:
    """Make a token for the directory of the tenant. Its text is in this answer and nowhere else."""
    request.access.refuse_tokens()
    body: NewProvisioningToken = request.checked_body
    most_days = request.registry.app_settings.tokens_most_days
    token, text = provisioning_tokens.create_token(
        request.user_session, request.access, body.name, body.days, most_days
    )
    return {**_shown(token), "token": text}


@api_view(
    "provisioning_token",
    "DELETE",
    permission=Permission.MEMBERS_MANAGE,
    writes="user",
    fresh=True,
    answer=None,
    tag=TAG,
    problems=("beyond_your_rights", "not_found", "token_not_allowed"),
)
def revoke_provisioning_token(request: TenantRequest) -> Response:
    """Revoke a token for the directory, from the next request on."""
    request.access.refuse_tokens()
    provisioning_tokens.revoke_token(request.user_session, request.access, path_id(request))
    return Response(status=204)


def _shown(token: ProvisioningToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
    }


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("provisioning_tokens", "/provisioning-tokens")
    config.add_route("provisioning_token", f"/provisioning-tokens/{ID}")
