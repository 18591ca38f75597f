"""The key of a row in the path of a request."""

from typing import Any

from tenantapp.resources.declaration import Resource
from tenantapp.resources.errors import NotFound
from tenantapp.resources.keys import RowId
from tenantapp.tenancy.request import TenantRequest


def key_part(resource: Resource[Any]) -> str:
    """Return the part of a route for the key of a row. What has another form is answered 404 before a view runs."""
    return f"{{id:{resource.key.pattern}}}"


def path_key(request: TenantRequest, resource: Resource[Any]) -> RowId:
    """Return the key in the path of a route that has ``key_part``. Raises ``NotFound`` if no row can have it."""
    key = resource.key.read(request.matchdict["id"])
    if key is None:
        raise NotFound(resource.noun)
    return key
