"""How people are written to from a request."""

from typing import Final

from tenantapp.api.address import host_name
from tenantapp.credentials.post import Post
from tenantapp.mail.letters import LANGUAGES
from tenantapp.settings import Settings
from tenantapp.tenancy.request import TenantRequest

OF_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
# In the environment of a request to our servers: SERVER_PORT is what a trusted proxy says, if there is one.
LISTENING_PORT: Final = "tenantapp.listening_port"
DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


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
    host, or if it is of this machine: otherwise a stranger could have our mail lead people to another site. So a
    port of a listed host counts only if the server listens on it. What a proxy says of it may be what the client said.
    """
    settings: Settings = request.registry.app_settings
    if settings.web_address is not None:
        return settings.web_address
    if request.domain in OF_THIS_MACHINE:
        return str(request.application_url)
    return None if settings.http_allowed_hosts is None else _listed_address(request)


def _listed_address(request: TenantRequest) -> str:
    name, port = host_name(request.host) or "", request.host_port
    shown = f"[{name}]" if ":" in name else name
    listening = request.environ.get(LISTENING_PORT, request.environ["SERVER_PORT"])
    own = port == listening and port != DEFAULT_PORTS[request.scheme]
    path = request.application_url.removeprefix(request.host_url)
    return f"{request.scheme}://{shown}{f':{port}' if own else ''}{path}"
