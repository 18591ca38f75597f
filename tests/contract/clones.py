"""Copies of a tenant's database that tenantapp has not made."""

import shutil
from uuid import UUID

from sqlalchemy import create_engine, text

from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.tenancy.servers import Server, SqliteServer


def clone_database(server: Server, source: str, target: str, tenant_id: UUID) -> None:
    """Make the database ``target`` from ``source``, which nobody is connected to, for another tenant."""
    if isinstance(server, SqliteServer):
        shutil.copy(server.path(source), server.path(target))
    else:
        databases = databases_on(server)
        databases.create(target)
        engine = create_engine(server.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{target}"')
            connection.exec_driver_sql(f'CREATE DATABASE "{target}" OWNER "{target}" TEMPLATE "{source}"')
        engine.dispose()
        engine = create_engine(server.url.set(database=target), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            # Not REASSIGN OWNED, which would give away the source database as well.
            for table in connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all():
                connection.exec_driver_sql(f'ALTER TABLE "{table}" OWNER TO "{target}"')
        engine.dispose()
    engine = create_engine(server.tenant_url(target))
    with engine.begin() as connection:
        value = tenant_id.hex if isinstance(server, SqliteServer) else str(tenant_id)
        connection.execute(text("UPDATE tenant_identity SET tenant_id = :id"), {"id": value})
    engine.dispose()
