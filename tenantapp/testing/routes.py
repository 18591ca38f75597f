"""The routes of an application, for tests that call them all."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pyramid.security import NO_PERMISSION_REQUIRED

from tenantapp.api.openapi.operations import PART, Operation
from tenantapp.identity.permissions import Permission

FOR_OTHERS: Final = (NO_PERMISSION_REQUIRED, Permission.FLEET_OPERATE)
OURS: Final = "tenantapp."
# Our rooms whose views make rows of a domain.
OF_DOMAINS: Final = ("tenantapp.resources", "tenantapp.workspace")


@dataclass(frozen=True, eq=False)
class Route:
    """A view of the application. ``operation`` is None if the document does not have it."""

    method: str
    path: str
    operation: Operation | None

    @property
    def variables(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def of_tenant(self) -> bool:
        return self.operation is None or self.operation.is_for_tenant

    @property
    def makes_rows(self) -> bool:
        """Return whether the domain makes a row so."""
        made = self.operation
        if made is None or (self.method, made.status) != ("POST", 201) or self.variables or not made.is_for_tenant:
            return False
        module = made.view.__module__
        return not module.startswith(OURS) or module.startswith(OF_DOMAINS)


def routes_of(registry: Any) -> Iterator[Route]:
    """Yield the routes that somebody must be signed in for, without those of operators."""
    operations = {(each.route, each.method): each for each in registry.openapi.operations}
    routes = registry.introspector.get_category("routes") or ()
    patterns = {each["introspectable"]["name"]: each["introspectable"]["pattern"] for each in routes}
    for entry in registry.introspector.get_category("views") or ():
        view = entry["introspectable"]
        permissions = [other["value"] for other in entry["related"] if other.category_name == "permissions"]
        if view["route_name"] is None or not permissions or permissions[0] in FOR_OTHERS:
            continue
        stated = view["request_methods"] or "GET"
        for method in [stated] if isinstance(stated, str) else stated:
            if method != "HEAD":
                path = PART.sub(r"{\1}", "/" + patterns[view["route_name"]].lstrip("/"))
                yield Route(method, path, operations.get((view["route_name"], method)))
