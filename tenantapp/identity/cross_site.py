"""Protection against requests that another site makes a browser send.

Applies to every view, the builder's own included: as a view deriver under the permission check. The origin is checked
on plain http as well, where Pyramid's own check does nothing.
"""

import hmac
from collections.abc import Callable
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import IDefaultPermission
from pyramid.security import NO_PERMISSION_REQUIRED

from tenantapp.identity.errors import CrossSiteRequest
from tenantapp.identity.policy import cookie_token
from tenantapp.identity.web_sessions import csrf_token
from tenantapp.tenancy.request import SAFE_METHODS, TenantRequest

View = Callable[[Any, Any], Any]


def cross_site_view(view: View, info: Any) -> View:
    """Wrap a view: unsafe requests are refused unless they come from our own page or from no page at all.

    Where the view needs somebody signed in, they also need the CSRF token. Raises ``CrossSiteRequest``.
    """
    if info.exception_only:
        return view
    public = info.options.get("permission") in (None, NO_PERMISSION_REQUIRED)

    def checked(context: Any, request: TenantRequest) -> Any:
        if request.method not in SAFE_METHODS:
            check_origin(request)
            if not public:
                check_csrf_token(request)
        return view(context, request)

    return checked


def check_origin(request: TenantRequest) -> None:
    """Refuse a request that a browser says comes from elsewhere. Programs send neither header and pass.

    OWASP Cross-Site Request Forgery Prevention Cheat Sheet: Fetch Metadata, with Origin for older browsers.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site not in (None, "same-origin", "none") or origin not in (None, request.host_url):
        raise CrossSiteRequest("The request comes from another site.")


def check_csrf_token(request: TenantRequest) -> None:
    """Refuse a request without the token of its web session in ``X-CSRF-Token``."""
    expected = csrf_token(cookie_token(request) or "")
    given = request.headers.get("X-CSRF-Token", "")
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape")):
        raise CrossSiteRequest("The X-CSRF-Token header is missing or wrong.")


def permission_required_view(view: View, info: Any) -> View:
    """Let no view start that does not say who may call it."""
    stated = info.options.get("permission") or info.registry.queryUtility(IDefaultPermission)
    if not info.exception_only and stated is None:
        raise ConfigurationError(
            f"The view {_name_of(info)} has no permission: give it one, or NO_PERMISSION_REQUIRED to open it to all"
        )
    return view


def _name_of(info: Any) -> str:
    """The view's dotted name, and where it is to be reached."""
    view, options = info.original_view, info.options
    dotted = f"{view.__module__}.{view.__qualname__}" if hasattr(view, "__qualname__") else str(view)
    method = f".{options['attr']}" if options.get("attr") else ""
    return f"{dotted}{method} of route {options['route_name']}" if options.get("route_name") else f"{dotted}{method}"
