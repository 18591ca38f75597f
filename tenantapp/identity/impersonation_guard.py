"""An operator who works as somebody else does less than that person: a guard of every view.

It is about the content of the tenant: what is about the person themselves, or takes all data out of the tenant, is
refused. So is what manages the tenant (``MANAGING``), because it would outlast the impersonation, and so are dangerous
acts (``freshness``), because an operator cannot prove to be that person. If the impersonation is read-only, everything
is refused that may change something.
"""

from collections.abc import Callable
from typing import Any, Final

from pyramid.interfaces import IDefaultPermission
from pyramid.security import NO_PERMISSION_REQUIRED

from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.errors import ImpersonationReadOnly
from tenantapp.tenancy.request import SAFE_METHODS, TenantRequest

# The permissions of calls about the person and their account, and of the exports of the tenant.
NOT_IMPERSONATED: Final = (Permission.SIGNED_IN, Permission.OWN_ACCOUNT, Permission.TENANT_EXPORT)

# The permissions of calls that manage the tenant: its members, settings, tokens, webhooks and jobs. They only read.
MANAGING: Final = (
    Permission.MEMBERS_MANAGE,
    Permission.IN_TENANT,
    Permission.WEBHOOKS_MANAGE,
    Permission.JOBS_MANAGE,
)


def impersonation_view(view: Callable[[Any, Any], Any], info: Any) -> Callable[[Any, Any], Any]:
    """Refuse what an operator may not do who works as somebody else (a view deriver).

    A view that is declared with ``impersonated`` is let through. The wrapper raises ``NotWhileImpersonating`` and
    ``ImpersonationReadOnly``. The parts of a batch are checked like other requests, and a batch itself is let through.
    """
    permission = info.options.get("permission") or info.registry.queryUtility(IDefaultPermission)
    if info.exception_only or info.options.get("impersonated") or permission == NO_PERMISSION_REQUIRED:
        return view

    def guarded(context: Any, request: TenantRequest) -> Any:
        access = request.access
        if permission in NOT_IMPERSONATED:
            access.refuse_impersonation()
        if access.only_reads and request.method not in SAFE_METHODS:
            raise ImpersonationReadOnly
        if permission in MANAGING and request.method not in SAFE_METHODS:
            access.refuse_impersonation()
        return view(context, request)

    return guarded


impersonation_view.options = ("impersonated",)  # type: ignore[attr-defined]
