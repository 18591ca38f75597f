"""Measure how much storage tenants use, of their databases and their files."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.files.errors import FilesError
from tenantapp.files.storage import Storage, open_storage
from tenantapp.identity.models import Tenant
from tenantapp.identity.storage_quotas import note_storage, tenants_to_measure
from tenantapp.operations.errors import FleetError
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.times import utcnow

log = logging.getLogger(__name__)
EVERY: Final = timedelta(minutes=15)
AT_ONCE: Final = 50  # tenants: a worker has other work to do


def measure_storage(fleet: Fleet) -> None:
    """Measure tenants with a quota that were not measured lately: a chore of workers.

    Two workers may measure a tenant at the same moment, which does no harm. A server that does not answer leaves its
    tenants as they are until they are due again.
    """
    default = fleet.settings.quotas_storage
    with fleet.user_db.begin(read_only=True) as session:
        due = tenants_to_measure(session, default, utcnow() - EVERY, AT_ONCE)
        session.expunge_all()
    if not due:
        return
    used = dict(_measured(fleet, due))
    with fleet.user_db.begin() as session:
        reached = note_storage(session, used, default)
    for each in reached:
        fields = {"tenant": each.slug, "bytes": each.used, "quota": each.quota}
        log.warning("The tenant %s uses %.0f %% of its storage quota.", each.slug, 100 * each.part, extra=fields)


def _measured(fleet: Fleet, due: list[Tenant]) -> Iterator[tuple[UUID, int | None]]:
    """Yield the tenants with the bytes that they use, or None for those that cannot be measured now."""
    storage = None if fleet.settings.files_storage is None else open_storage(fleet.settings)
    for name, on_server in groupby(sorted(due, key=lambda tenant: tenant.server), key=lambda tenant: tenant.server):
        tenants = list(on_server)
        try:
            sizes = databases_on(fleet.servers[name]).sizes([tenant.database for tenant in tenants])
        except (FleetError, KeyError) as error:
            log.warning("The storage on the server %s cannot be measured: %s", name, error)
            sizes = {}
        for tenant in tenants:
            yield tenant.id, _with_files(storage, tenant, sizes.get(tenant.database))


def _with_files(storage: Storage | None, tenant: Tenant, size: int | None) -> int | None:
    if storage is None or size is None:
        return size
    try:
        return size + sum(storage.sizes(tenant.id).values())
    except FilesError as error:
        log.warning("The files of the tenant %s cannot be measured: %s", tenant.slug, error)
        return None
