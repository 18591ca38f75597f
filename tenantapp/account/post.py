"""How people are written to from a request."""

from tenantapp.account.links import page_address
from tenantapp.credentials.post import Post
from tenantapp.mail.letters import LANGUAGES
from tenantapp.tenancy.request import TenantRequest


def post_of(request: TenantRequest) -> Post:
    """Return how letters are written that a request asks for: in a language of the browser."""
    page, lacking = page_address(request), None
    if request.registry.app_settings.mail_url is None:
        lacking = "the setting mail.url is not set"
    elif page is None:
        lacking = "neither web.address nor http.allowed_hosts is set, so a link could lead anywhere"
    return Post(page or "", lacking, request.accept_language.lookup(LANGUAGES, default=LANGUAGES[0]))
