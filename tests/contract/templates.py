"""The templates of a fleet, and the databases that are kept ready."""

from dataclasses import replace
from typing import Any

from sqlalchemy import select

from tenantapp.databases.models import WarmDatabase
from tenantapp.databases.servers.templates import current_template, installation_mark
from tenantapp.operations.fleet import Fleet as Services
from tests.contract.conftest import Fleet, work

MORE = 'op.create_table("more", sa.Column("id", sa.Integer, primary_key=True))'


def template_names(fleet: Fleet) -> set[str]:
    """The templates that are there, roles apart."""
    things = [thing.removeprefix("database ").rpartition("/")[2] for thing in fleet.everything()]
    return {thing.removesuffix(".sqlite") for thing in things if thing.startswith("template_")}


def current(fleet: Fleet, services: Services | None = None) -> str:
    services = services or fleet.services
    with fleet.user_db.begin(read_only=True) as session:
        mark = installation_mark(session)
    return current_template(services, mark, services.servers.default).name


def warmed(fleet: Fleet, count: int) -> Services:
    """Services under which so many databases are kept ready, and they are."""
    settings = replace(fleet.settings, fleet_warm_databases=count)
    services = fleet.under(settings)
    work(services)
    return services


def pool(fleet: Fleet) -> list[Any]:
    with fleet.user_db.begin(read_only=True) as session:
        rows = session.execute(select(WarmDatabase.tenant_id, WarmDatabase.database, WarmDatabase.template))
        return [tuple(row) for row in rows.all()]
