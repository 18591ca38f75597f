"""Read which tenant a request names: by the header ``X-Tenant``, or by its path, ``/api/v1/t/{slug}/...``.

A path that names a tenant is not changed, because a request may be tried again and logs show it. Only the routes are
matched without ``/t/{slug}``, and the request writes it into the addresses of routes that it makes.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from pyramid.exceptions import ConfigurationError
from pyramid.urldispatch import RoutesMapper

PREFIX: Final = "/api/v1"
NAMED: Final = re.compile(rf"{PREFIX}/t/(?P<slug>[^/]*)(?=/)")
VARIABLE: Final = re.compile(r"[{*:]")  # in the pattern of a route
RESERVED: Final = re.compile(rf"{PREFIX}/t(/|$)")

# The first segments of a path. A route belongs to one beginning if it has so many segments without variables.
Beginning = tuple[str, ...]
SEGMENTS: Final = 3
ANY: Final[Beginning] = ("any",) * (SEGMENTS + 1)  # no beginning: it is longer


class NamedTenantRoutes(RoutesMapper):
    """Matches routes to a path without the tenant that it names, so no route is declared twice."""

    def __init__(self, present: RoutesMapper) -> None:
        # Routes of ``pyramid.includes`` are declared before ours, and reach the mapper that was there only later.
        self.__dict__.update(present.__dict__)
        self._by_beginning: dict[Beginning, RoutesMapper] = {}

    def connect(self, name: str, pattern: str, *arguments: Any, **options: Any) -> Any:
        """Add a route. Raises ``ConfigurationError`` if its paths would name a tenant."""
        if RESERVED.match(f"/{pattern.lstrip('/')}"):
            raise ConfigurationError(f"The route {name} cannot be reached: {PREFIX}/t/{{slug}} names a tenant")
        self._by_beginning.clear()
        return super().connect(name, pattern, *arguments, **options)

    def __call__(self, request: Any) -> Any:
        """Return the route of a request, and its match."""
        environ, named = request.environ, tenant_in(request.environ.get("PATH_INFO", ""))
        if named is None:
            return self._match(request)
        whole = environ["PATH_INFO"]
        environ["PATH_INFO"] = PREFIX + whole[named.end() :]
        try:
            return self._match(request)
        finally:
            environ["PATH_INFO"] = whole

    def _match(self, request: Any) -> Any:
        """Match the routes that may match, in their order. To try each of fifty takes as long as a small view."""
        try:
            beginning = beginning_of(request.path_info or "/")
        except (KeyError, UnicodeDecodeError):
            return super().__call__(request)
        if not self._by_beginning:
            self._by_beginning = group_routes(self.routelist)
        return self._by_beginning.get(beginning, self._by_beginning[ANY])(request)


def tenant_in(path: str) -> re.Match[str] | None:
    """Return the part of a path up to the tenant that it names, with the group ``slug``, or None if it names none."""
    return NAMED.match(path)


def with_tenant(path: str, slug: str) -> str:
    """Return a path of the API with the name of a tenant in it. Other paths are returned unchanged."""
    return f"{PREFIX}/t/{slug}{path.removeprefix(PREFIX)}" if path.startswith(f"{PREFIX}/") else path


def beginning_of(path: str) -> Beginning:
    """Return the first segments of a path."""
    return tuple(path.split("/", SEGMENTS + 1)[1 : SEGMENTS + 1])


def group_routes(routes: Sequence[Any]) -> dict[Beginning, RoutesMapper]:
    """Return, for each beginning of a path, a mapper of the routes that may match it. ``ANY`` has the others."""
    places = [_beginning_of_pattern(route.pattern) for route in routes]
    groups: dict[Beginning, RoutesMapper] = {}
    for beginning in {*places, ANY}:
        groups[beginning] = RoutesMapper()
        likely = (beginning, ANY)
        groups[beginning].routelist = [route for route, place in zip(routes, places, strict=True) if place in likely]
    return groups


def _beginning_of_pattern(pattern: str) -> Beginning:
    path = f"/{pattern.lstrip('/')}"
    fixed = VARIABLE.split(path, maxsplit=1)[0]
    plain = fixed.isascii() and "%" not in fixed  # otherwise the pattern is not written as the path is
    complete = fixed == path or fixed.count("/") > SEGMENTS
    return beginning_of(fixed) if plain and complete else ANY
