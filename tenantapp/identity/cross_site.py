"""Protect against cross-site request forgery (CSRF): requests that another site makes a browser send.

A view deriver under the permission check protects every view, also the builder's own. It checks the origin on plain
http as well, where Pyramid's own check does nothing.
"""

import hmac
from collections.abc import Callable
from typing import Any, Final

from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import IDefaultPermission
from pyramid.security import NO_PERMISSION_REQUIRED

from tenantapp.identity.errors import CrossSiteRequest
from tenantapp.identity.policy import bearer_token, cookie_token
from tenantapp.identity.web_sessions import csrf_token
from tenantapp.tenancy.request import SAFE_METHODS, TenantRequest

View = Callable[[Any, Any], Any]
OURS: Final = ("same-origin", "none")  # values of Sec-Fetch-Site; none: the person began the request


def cross_site_view(view: View, info: Any) -> View:
    """Wrap a view, so that it refuses unsafe requests from pages of other sites (a view deriver).

    If the view has a permission, unsafe requests also need the CSRF token. The wrapper raises ``CrossSiteRequest``. A
    request with an API token is not checked: no other site can make a browser send one, and the cookie does not count.
    A part of a batch is not checked, because the batch was.
    """
    if info.exception_only:
        return view
    public = info.options.get("permission") in (None, NO_PERMISSION_REQUIRED)

    def checked(context: Any, request: TenantRequest) -> Any:
        if request.method not in SAFE_METHODS and request.part_of is None and bearer_token(request) is None:
            check_origin(request)
            if not public:
                check_csrf_token(request)
        return view(context, request)

    return checked


def check_origin(request: TenantRequest) -> None:
    """Raise ``CrossSiteRequest`` if the browser says that the request comes from another site.

    The pages of origins that ``http.allowed_origins`` names are let through. ``Sec-Fetch-Site`` decides where it is
    present: no page can change it, and ``Origin`` may be null there (a page with ``Referrer-Policy: no-referrer``).
    ``Origin`` decides for older browsers (OWASP Cross-Site Request Forgery Prevention Cheat Sheet). Other programs
    send neither header, and are let through.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if origin in request.registry.app_settings.http_allowed_origins:
        return
    if (origin not in (None, request.host_url)) if site is None else (site not in OURS):
        raise CrossSiteRequest("The request comes from another site.")


def check_csrf_token(request: TenantRequest) -> None:
    """Raise ``CrossSiteRequest`` unless ``X-CSRF-Token`` has the token of the request's web session."""
    expected = csrf_token(cookie_token(request) or "")
    given = request.headers.get("X-CSRF-Token", "")
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape")):
        raise CrossSiteRequest("The X-CSRF-Token header is missing or wrong.")


def permission_required_view(view: View, info: Any) -> View:
    """Raise ``ConfigurationError`` if a view has no permission (a view deriver)."""
    stated = info.options.get("permission") or info.registry.queryUtility(IDefaultPermission)
    if not info.exception_only and stated is None:
        raise ConfigurationError(
            f"The view {_name_of(info)} has no permission: give it one, or NO_PERMISSION_REQUIRED to open it to all"
        )
    return view


def _name_of(info: Any) -> str:
    """Return the view's dotted name and its route."""
    view, options = info.original_view, info.options
    dotted = f"{view.__module__}.{view.__qualname__}" if hasattr(view, "__qualname__") else str(view)
    method = f".{options['attr']}" if options.get("attr") else ""
    return f"{dotted}{method} of route {options['route_name']}" if options.get("route_name") else f"{dotted}{method}"
