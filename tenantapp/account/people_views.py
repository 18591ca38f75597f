"""The names of people over HTTP, for everybody who may enter the tenant."""

from typing import Any

from pyramid.config import Configurator

from tenantapp.account import answers
from tenantapp.answers import Page
from tenantapp.api.query import Ids, NoQuery
from tenantapp.api.views import api_view
from tenantapp.identity.people import names_of
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.request import TenantRequest


class PeopleQuery(NoQuery):
    """Whose names: ids, separated by commas."""

    ids: Ids


@api_view("people", "GET", permission=Permission.TENANT_ENTER, query=PeopleQuery, answer=Page[answers.NamedPerson])
def list_people(request: TenantRequest) -> dict[str, Any]:
    """Return the names of people who belong or belonged to the tenant, in one page. Other ids are left out."""
    query: PeopleQuery = request.checked_query
    found = names_of(request.user_session, request.access.require_tenant().id, query.ids)
    return {
        "items": [{"id": each, "name": found[each]} for each in dict.fromkeys(query.ids) if each in found],
        "next": None,
    }


def includeme(config: Configurator) -> None:
    """Add the route."""
    config.add_route("people", "/people")
