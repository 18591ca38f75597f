"""How people are written to from a request."""

from typing import Final

from tenantapp.credentials.post import Post
from tenantapp.mail.letters import LANGUAGES
from tenantapp.settings import Settings
from tenantapp.tenancy.request import TenantRequest

OF_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def post_of(request: TenantRequest) -> Post:
    """Return how letters are written that a request asks for: in a language of the browser."""
    page, lacking = page_address(request), None
    if request.registry.app_settings.mail_url is None:
        lacking = "the setting mail.url is not set"
    elif page is None:
        lacking = "neither web.address nor http.allowed_hosts is set, so a link could lead anywhere"
    return Post(page or "", lacking, request.accept_language.lookup(LANGUAGES, default=LANGUAGES[0]))


def page_address(request: TenantRequest) -> str | None:
    """Return the address of the page, such as ``https://app.example.com``, or None if it is not known.

    It is the setting ``web.address``. Without it, the request's own address counts if ``http.allowed_hosts`` has its
    host, or if it is of this machine: otherwise a stranger could have our mail lead people to another site.
    """
    settings: Settings = request.registry.app_settings
    if settings.web_address is not None:
        return settings.web_address
    if settings.http_allowed_hosts is not None or request.domain in OF_THIS_MACHINE:
        return str(request.application_url)
    return None
