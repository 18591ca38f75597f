"""Refuse what would add to the data of a tenant that uses all of its storage. It goes on reading and deleting."""

from collections.abc import Callable
from typing import Any, Final

from tenantapp.identity.permissions import Permission
from tenantapp.limiting.errors import StorageFull
from tenantapp.tenancy.request import TenantRequest

ADDING: Final = frozenset({"POST", "PUT", "PATCH"})
View = Callable[[Any, Any], Any]


def quota_view(view: View, info: Any) -> View:
    """Raise ``StorageFull`` before a view that adds to the tenant's database (a view deriver).

    A batch adds by its parts, each of which is a view of its own: it is what members enter, and no part of a batch.
    """
    permission = info.options.get("permission")
    if info.exception_only or info.options.get("api_writes", "tenant") != "tenant":
        return view
    if permission == Permission.TENANT_ENTER and not info.options.get("api_in_batch", True):
        return view

    def within_quota(context: Any, request: TenantRequest) -> Any:
        if request.method in ADDING and request.served_tenant is not None and request.access.storage_full:
            raise StorageFull
        return view(context, request)

    return within_quota
