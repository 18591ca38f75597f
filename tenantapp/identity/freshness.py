"""Dangerous acts ask the person to have proved lately who they are: ``api_view(..., fresh=True)``.

So a stranger at a browser that is signed in cannot do them (OWASP ASVS 5.0, 7.5.1). A program with an API token passes:
the token was made in a session that had just been proved, or by an operator on the command line.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tenantapp.identity.errors import ReauthenticationRequired
from tenantapp.identity.permissions import Permission
from tenantapp.identity.roles import permits
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.request import TenantRequest


def require_fresh(request: TenantRequest) -> None:
    """Raise ``ReauthenticationRequired`` unless the person proved who they are within ``session.fresh`` seconds.

    Raises ``NotWhileImpersonating`` if an operator works as the person, who cannot prove to be them.
    """
    access = request.access
    access.refuse_impersonation()
    if access.api_token_id is not None:
        return
    lately = utcnow() - timedelta(seconds=request.registry.app_settings.session_fresh)
    if access.authenticated_at is None or access.authenticated_at < lately:
        raise ReauthenticationRequired


def require_fresh_for(request: TenantRequest, role: str) -> None:
    """Call ``require_fresh`` if this role makes somebody an administrator: it permits to manage members."""
    if permits(request.user_session, role, Permission.MEMBERS_MANAGE):
        require_fresh(request)


def fresh_view(view: Callable[[Any, Any], Any], info: Any) -> Callable[[Any, Any], Any]:
    """Call ``require_fresh`` before a view that is declared with ``fresh`` (a view deriver)."""
    if not info.options.get("fresh"):
        return view

    def fresh(context: Any, request: TenantRequest) -> Any:
        require_fresh(request)
        return view(context, request)

    return fresh


fresh_view.options = ("fresh",)  # type: ignore[attr-defined]
