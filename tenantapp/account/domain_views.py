"""The domains of a tenant over HTTP: administrators claim them, and prove by the DNS that they are theirs."""

from typing import Any

from pydantic import Field
from pyramid.config import Configurator
from pyramid.response import Response

from tenantapp.account import domain_answers as answers
from tenantapp.api.json import Body
from tenantapp.api.views import ID, api_view, path_id
from tenantapp.content import example
from tenantapp.federation import domains
from tenantapp.federation.models import TenantDomain
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.request import TenantRequest

TAG = "single-sign-on"


class NewDomain(Body, json_schema_extra=example({"domain": "acme.example"})):
    """The body of ``POST /domains``."""

    domain: str = Field(max_length=1000)


class DomainChange(Body, json_schema_extra=example({"capture": True})):
    """The body of ``PATCH /domains/{id}``."""

    capture: bool


@api_view(
    "domains",
    "GET",
    permission=Permission.MEMBERS_MANAGE,
    answer=answers.Domains,
    tag=TAG,
    problems=("token_not_allowed",),
)
def list_domains(request: TenantRequest) -> dict[str, Any]:
    """Return the domains that the tenant claims, by name."""
    request.access.refuse_tokens()
    found = domains.list_domains(request.user_session, request.access.require_tenant().id)
    return {"items": [_shown(domain) for domain in found]}


@api_view(
    "domains",
    "POST",
    permission=Permission.MEMBERS_MANAGE,
    body=NewDomain,
    writes="user",
    fresh=True,
    status=201,
    answer=answers.Domain,
    tag=TAG,
    problems=("already_exists", "beyond_your_rights", "too_many_domains", "token_not_allowed"),
)
def claim_domain(request: TenantRequest) -> dict[str, Any]:
    """Claim a domain of mail addresses. The answer has the record to publish in the DNS before it is verified."""
    request.access.refuse_tokens()
    return _shown(domains.claim(request.user_session, request.access, request.checked_body.domain))


@api_view(
    "verified_domain",
    "POST",
    permission=Permission.MEMBERS_MANAGE,
    writes="user",
    fresh=True,
    answer=answers.Domain,
    tag=TAG,
    problems=(
        "beyond_your_rights",
        "dns_unavailable",
        "domain_not_proved",
        "domain_taken",
        "not_found",
        "token_not_allowed",
    ),
)
def verify_domain(request: TenantRequest) -> dict[str, Any]:
    """Ask the DNS now for the record of a domain. If it is there, the domain is the tenant's own."""
    request.access.refuse_tokens()
    domain_id, registry = path_id(request), request.registry
    # Read before the transaction: no connection is held while the DNS is asked.
    with registry.user_db.begin(read_only=True) as session:
        name = domains.name_to_verify(session, request.access, domain_id)
    answer = registry.txt_records.read(domains.record_name(name), request.access.require_tenant().id)
    return _shown(domains.verify(request.user_session, request.access, domain_id, answer))


@api_view(
    "domain",
    "PATCH",
    permission=Permission.MEMBERS_MANAGE,
    body=DomainChange,
    writes="user",
    fresh=True,
    answer=answers.Domain,
    tag=TAG,
    problems=("beyond_your_rights", "not_found", "token_not_allowed"),
)
def change_domain(request: TenantRequest) -> dict[str, Any]:
    """Let who has an address of the domain register by the tenant's identity provider alone, or no longer."""
    request.access.refuse_tokens()
    capture: bool = request.checked_body.capture
    return _shown(domains.set_capture(request.user_session, request.access, path_id(request), capture))


@api_view(
    "domain",
    "DELETE",
    permission=Permission.MEMBERS_MANAGE,
    writes="user",
    fresh=True,
    answer=None,
    tag=TAG,
    problems=("beyond_your_rights", "not_found", "token_not_allowed"),
)
def remove_domain(request: TenantRequest) -> Response:
    """Give up a domain, from the next request on."""
    request.access.refuse_tokens()
    domains.remove(request.user_session, request.access, path_id(request))
    return Response(status=204)


def _shown(domain: TenantDomain) -> dict[str, Any]:
    return {
        "id": domain.id,
        "domain": domain.name,
        "record_name": domains.record_name(domain.name),
        "record_text": domains.record_text(domain),
        "capture": domain.capture,
        "created_at": domain.created_at,
        "verified_at": domain.verified_at,
        "missing_since": domain.missing_since,
    }


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("domains", "/domains")
    config.add_route("verified_domain", f"/domains/{ID}/verify")
    config.add_route("domain", f"/domains/{ID}")
