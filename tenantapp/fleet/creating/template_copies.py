"""The steps that make a database for a tenant, now or to be kept ready: a copy of the template.

Their operations have the arguments ``tenant_id``, ``server`` and ``mark``; they return ``template`` and ``revision``.
"""

from typing import Any, Final
from uuid import UUID

from tenantapp.databases.errors import TemplateMissing
from tenantapp.databases.servers.base import ServerDatabases
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.templates import current_template
from tenantapp.fleet.creating.new_tenants import drop_new_database
from tenantapp.identity.tenants import database_name
from tenantapp.operations.kinds import Context, Step


def _ensure_template(context: Context) -> dict[str, Any]:
    template = current_template(context.fleet, context.arguments["mark"])
    _databases(context).ensure_template(template)
    return {"template": template.name, "revision": template.revision}


def _copy_template(context: Context) -> dict[str, Any]:
    template = {name: context.result[name] for name in ("template", "revision")}
    try:
        _copy(context, template["template"])
    except TemplateMissing:
        # Another version of the program, of a newer revision, may have removed it a moment ago.
        template = _ensure_template(context)
        _copy(context, template["template"])
    return template


def _copy(context: Context, template: str) -> None:
    tenant_id = UUID(context.arguments["tenant_id"])
    _databases(context).copy_template(template, database_name(tenant_id), tenant_id, context.arguments["mark"])


def _databases(context: Context) -> ServerDatabases:
    return databases_on(context.fleet.servers[context.arguments["server"]])


# The template first: where the server refuses or does not answer, no database needs to be undone.
STEPS: Final = (Step("template", _ensure_template), Step("database", _copy_template, drop_new_database))
