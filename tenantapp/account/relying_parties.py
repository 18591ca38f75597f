"""For which page are the passkeys of a request?"""

from urllib.parse import urlsplit

from tenantapp.credentials.passkeys import RelyingParty
from tenantapp.tenancy.request import TenantRequest


def relying_party(request: TenantRequest) -> RelyingParty:
    """Return whom the passkeys of this request are for: the page of its own host, or of an allowed origin.

    The browser lets a page ask only for passkeys of its own host, so a host that somebody made up has none.
    """
    given = request.headers.get("Origin")
    origin = given if given in request.registry.app_settings.http_allowed_origins else request.host_url
    return RelyingParty(urlsplit(origin).hostname or "", origin)
