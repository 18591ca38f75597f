"""Where the links in account mail lead to."""

from collections.abc import Callable
from typing import Final

from tenantapp.credentials.one_time_links import Purpose, address_of
from tenantapp.settings import Settings
from tenantapp.tenancy.request import TenantRequest

OF_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


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


def sends_mail(request: TenantRequest) -> bool:
    """Return whether account mail is sent: ``mail.url`` is set, and the address of the page is known."""
    return request.registry.app_settings.mail_url is not None and page_address(request) is not None


def links_of(request: TenantRequest) -> Callable[[Purpose, str], str]:
    """Return the function that makes the address of a link out of its purpose and its token."""
    base = page_address(request) or ""
    return lambda purpose, token: address_of(base, purpose, token)
