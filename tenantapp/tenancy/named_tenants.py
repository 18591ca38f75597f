"""Read which tenant a request names: by the header ``X-Tenant``, or by its path, ``/api/v1/t/{slug}/...``.

A path that names a tenant is not changed, because a request may be tried again and logs show it. Only the routes are
matched without ``/t/{slug}``, and the request writes it into the addresses of routes that it makes.
"""

import re
from typing import Any, Final

from pyramid.exceptions import ConfigurationError
from pyramid.urldispatch import RoutesMapper

PREFIX: Final = "/api/v1"
NAMED: Final = re.compile(rf"{PREFIX}/t/(?P<slug>[^/]*)(?=/)")
RESERVED: Final = re.compile(rf"{PREFIX}/t(/|$)")


class NamedTenantRoutes(RoutesMapper):
    """Matches routes to a path without the tenant that it names, so no route is declared twice."""

    def __init__(self, present: RoutesMapper) -> None:
        # Routes of ``pyramid.includes`` are declared before ours, and reach the mapper that was there only later.
        self.__dict__.update(present.__dict__)

    def connect(self, name: str, pattern: str, *arguments: Any, **options: Any) -> Any:
        """Add a route. Raises ``ConfigurationError`` if its paths would name a tenant."""
        if RESERVED.match(f"/{pattern.lstrip('/')}"):
            raise ConfigurationError(f"The route {name} cannot be reached: {PREFIX}/t/{{slug}} names a tenant")
        return super().connect(name, pattern, *arguments, **options)

    def __call__(self, request: Any) -> Any:
        """Return the route of a request, and its match."""
        environ, named = request.environ, tenant_in(request.environ.get("PATH_INFO", ""))
        if named is None:
            return super().__call__(request)
        whole = environ["PATH_INFO"]
        environ["PATH_INFO"] = PREFIX + whole[named.end() :]
        try:
            return super().__call__(request)
        finally:
            environ["PATH_INFO"] = whole


def tenant_in(path: str) -> re.Match[str] | None:
    """Return the part of a path up to the tenant that it names, with the group ``slug``, or None if it names none."""
    return NAMED.match(path)


def with_tenant(path: str, slug: str) -> str:
    """Return a path of the API with the name of a tenant in it. Other paths are returned unchanged."""
    return f"{PREFIX}/t/{slug}{path.removeprefix(PREFIX)}" if path.startswith(f"{PREFIX}/") else path
