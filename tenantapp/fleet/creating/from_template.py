"""The steps that make a database for a tenant, now or to be kept ready: a copy of the template.

Their operations have the arguments ``tenant_id``, ``server`` and ``mark``; they return ``template`` and ``revision``.
"""

from typing import Any, Final
from uuid import UUID

from tenantapp.databases.errors import TemplateMissing
from tenantapp.databases.servers.base import ServerDatabases
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.templates import current_template
from tenantapp.identity.tenants import database_name
from tenantapp.operations.kinds import Context, Step


def _ensure_template(context: Context) -> dict[str, Any]:
    template = current_template(context.fleet, context.arguments["mark"])
    _databases(context).ensure_template(template)
    return {"template": template.name, "revision": template.revision}


def _clone(context: Context) -> dict[str, Any]:
    try:
        return _clone_from(context, context.result)
    except TemplateMissing:
        # Another version of the program, of a newer revision, may have removed it a moment ago.
        return _clone_from(context, _ensure_template(context))


def _clone_from(context: Context, template: dict[str, Any]) -> dict[str, Any]:
    tenant_id = UUID(context.arguments["tenant_id"])
    _databases(context).clone(template["template"], database_name(tenant_id), tenant_id, context.arguments["mark"])
    return template


def drop_database(context: Context) -> None:
    """Undo what has made the database of the arguments' tenant, whatever there is of it."""
    _databases(context).drop(database_name(UUID(context.arguments["tenant_id"])))


def _databases(context: Context) -> ServerDatabases:
    return databases_on(context.fleet.servers[context.arguments["server"]])


# The template first: where the server refuses or does not answer, no database needs to be undone.
STEPS: Final = (Step("template", _ensure_template), Step("database", _clone, drop_database))
