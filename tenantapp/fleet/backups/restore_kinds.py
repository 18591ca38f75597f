"""The kinds of operation that restore a backup: in place, and as a new tenant."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.databases.histories.targets import tenant_target
from tenantapp.databases.histories.upgrading import upgrade
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.backups.chunks import told
from tenantapp.fleet.backups.kept_files import from_backups
from tenantapp.fleet.backups.moments import MOMENT
from tenantapp.fleet.backups.recorded_privileges import recorded_privileges
from tenantapp.fleet.backups.restoring import drift_of, identify, refuse_drift, restore_database
from tenantapp.fleet.backups.selection import find_backup
from tenantapp.fleet.backups.store import open_store
from tenantapp.fleet.closing.switching import (
    check_present,
    let_back_in,
    new_place,
    nobody_writes,
    prepare_switch,
    switch,
)
from tenantapp.fleet.creating.new_tenants import register, tenant_kind
from tenantapp.fleet.hooks.declarations import HookEvent
from tenantapp.fleet.tenant_files import bring_to_new, from_tenant, remove_new_files
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.models import Operation


def _prepare_in_place(session: Session, operation: Operation) -> None:
    """Choose a new name for the database. Before a retry too, because the tenant may have been moved or deleted."""
    prepare_switch(session, operation)
    # The new database is made on the server that the tenant is on now.
    operation.arguments = {**operation.arguments, "server": operation.arguments["from_server"]}


def _prepare_new(session: Session, operation: Operation) -> None:
    tenant = register(session, operation)
    operation.arguments = {**operation.arguments, "database": tenant.database}


def _restore_in_place(context: Context) -> dict[str, Any]:
    check_present(context)
    return _restore(context)


def _restore(context: Context) -> dict[str, Any]:
    fleet, given, place = context.fleet, context.arguments, new_place(context)
    store, server, name = open_store(fleet.settings), fleet.servers[place.server], f"the database of {place.slug}"
    # That of a moment was made by the step before.
    wanted = context.result.get("backup", given["backup"])
    record = find_backup(store, UUID(given["backup_of"]), place.slug, wanted)
    progress = told(context, 2 * record.size)
    privileges, left_out = recorded_privileges(fleet, server, record, accept_drift=given["accept_drift"])
    restore_database(fleet, server, place.database, record, store, given["mark"], name, progress, privileges=privileges)
    taken = record.model_dump(mode="json", include={"created_at"})
    described = {"backup": record.id, "taken_at": taken["created_at"], "backup_revision": record.revision}
    return described | ({"left_out": left_out} if left_out else {})


def _drop(context: Context) -> None:
    databases_on(context.fleet.servers[context.arguments["server"]]).drop(context.arguments["database"])


def _migrate(context: Context) -> dict[str, Any]:
    fleet, place = context.fleet, new_place(context)
    server = fleet.servers[place.server]
    target = tenant_target(fleet, place)
    revision = upgrade(target)
    drift = drift_of(fleet, server, target.url, target.name, revision)
    if not context.arguments["accept_drift"]:
        refuse_drift(drift, revision)
    identify(server, place)
    return {"revision": revision, "drift": list(drift)}


def _close(context: Context) -> dict[str, Any]:
    with nobody_writes(context):
        return {"replaced": context.arguments["from_database"]}


def _bring_files(context: Context) -> dict[str, int]:
    settings, backup_of = context.fleet.settings, UUID(context.arguments["backup_of"])
    sources = [from_backups(open_store(settings), backup_of), from_tenant(settings, backup_of)]
    return bring_to_new(context, new_place(context), sources)


MIGRATION: Final = Step("migration", _migrate)
RESTORE: Final = Kind(
    "restore",
    (
        MOMENT,
        Step("database", _restore_in_place, _drop),
        MIGRATION,
        Step("files", _bring_files),
        Step("switch", _close, let_back_in),
    ),
    undoes=True,
    prepare=_prepare_in_place,
    complete=switch,
)
RESTORE_AS: Final = tenant_kind(
    "restore_as",
    *(MOMENT, Step("database", _restore, _drop), MIGRATION, Step("files", _bring_files, remove_new_files)),
    event=HookEvent.CLONED,
    prepare=_prepare_new,
)
