"""The row in a tenant database that says which tenant's data it holds."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import delete, insert
from sqlalchemy.engine import URL

from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.connections.postgres import close_to_public
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.errors import FleetError
from tenantapp.tenancy.models import TenantIdentity


@checkpoint("identity.write")
def write_identity(url: URL, name: str, tenant_id: UUID, failure: Callable[[str, str], FleetError]) -> None:
    """Make a database this tenant's, whichever identity it had. A database without an identity is served to nobody.

    On PostgreSQL, PUBLIC may not connect to it from then on, whatever its contents and privileges came from.
    Raises ``DatabaseUnreachable``, ``DatabaseBusy`` and ``failure``.
    """
    with migration_connection(url, name, failure=failure) as connection, connection.begin():
        close_to_public(connection)
        connection.execute(delete(TenantIdentity))
        connection.execute(insert(TenantIdentity).values(tenant_id=tenant_id))
