"""Show and change the quotas of a tenant: of storage, and of connections."""

from typing import Any

from tenantapp.cli.installation import Installation
from tenantapp.identity.connection_quotas import set_connection_quota
from tenantapp.identity.storage_quotas import set_storage_quota
from tenantapp.identity.tenants import get_tenant


def change_and_describe(
    installation: Installation,
    slug: str,
    *,
    storage: int | None,
    default_storage: bool,
    connections: int | None,
    default_connections: bool,
) -> dict[str, Any]:
    """Give a tenant these quotas, and return all that it has. One without a value or a default does not change.

    Raises ``NotFound``, ``TenantUnfinished`` and ``TenantDeleted``; nothing is changed then.
    """
    settings = installation.settings
    stores, connects = default_storage or storage is not None, default_connections or connections is not None
    with installation.user_session(read_only=not (stores or connects)) as session:
        if stores:
            set_storage_quota(session, slug, storage, settings.quotas_storage)
        if connects:
            set_connection_quota(session, slug, connections)
        tenant = get_tenant(session, slug)
        return {
            "slug": tenant.slug,
            "storage_quota": tenant.storage_quota or settings.quotas_storage,
            "storage_used": tenant.storage_used,
            "storage_measured_at": tenant.storage_measured_at,
            "storage_full": tenant.storage_full,
            "connection_quota": tenant.connection_quota or settings.quotas_connections,
        }
