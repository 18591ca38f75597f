"""Read the operations of the API: the JSON views that Pyramid knows, with what they declare."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import getdoc
from typing import Any, Final

from pydantic import BaseModel
from pyramid.security import NO_PERMISSION_REQUIRED

from tenantapp.api.openapi.headers import OF_LIMITS
from tenantapp.api.query import NoQuery
from tenantapp.api.streamed import is_streamed
from tenantapp.api.views import OF_NO_TENANT, may_be_part
from tenantapp.identity.permissions import NOT_FOR_TOKENS
from tenantapp.tenancy.request import SAFE_METHODS, DatabaseKind

PART: Final = re.compile(r"{(\w+)(?::((?:[^{}]|{[^{}]*})*))?}")  # of a route's pattern: {name} or {name:expression}
BATCH: Final = "batch"  # the name of the route
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Operation:
    """A JSON view at a path.

    ``path`` is a template such as ``/api/v1/nodes/{id}``. ``parts`` has the regular expression of each of its
    variables. ``problems`` are the codes that the view declares; ``problem_codes`` adds those of its nature.
    """

    route: str
    method: str
    path: str
    parts: Mapping[str, str]
    view: Callable[..., Any]
    permission: str
    body: type[BaseModel] | None
    query: type[NoQuery]
    status: int
    answer: Any
    media_type: str
    problems: tuple[str, ...]
    headers: tuple[str, ...]
    reads_tenants: bool
    writes: DatabaseKind
    may_create: bool
    may_be_part: bool
    fresh: bool
    impersonated: bool
    tag: str

    @property
    def id(self) -> str:
        """Return the operation's id. It is stable: it changes only with the name of the route."""
        return f"{self.method.lower()}_{self.route}"

    @property
    def summary(self) -> str:
        """Return the first sentence of the view's docstring."""
        return self.documentation[0]

    @property
    def documentation(self) -> tuple[str, str]:
        """Return the summary of the view's docstring, and its other paragraphs."""
        summary, _, rest = (getdoc(self.view) or "").partition("\n\n")
        return " ".join(summary.split()), rest.strip()

    @property
    def is_public(self) -> bool:
        """Return whether nobody needs to be signed in."""
        return bool(self.permission == NO_PERMISSION_REQUIRED)

    @property
    def is_for_tenant(self) -> bool:
        """Return whether the request is about a tenant: its permission is a tenant's."""
        return self.permission not in OF_NO_TENANT

    @property
    def has_parts(self) -> bool:
        """Return whether the request is the batch, which answers the problems of its parts."""
        return self.route == BATCH

    @property
    def takes_tokens(self) -> bool:
        """Return whether a request may be made with an API token."""
        return self.is_for_tenant and self.permission not in NOT_FOR_TOKENS and "token_not_allowed" not in self.problems

    @property
    def heeds_tenant(self) -> bool:
        """Return whether it matters which tenant the request names."""
        return self.is_for_tenant or self.reads_tenants

    @property
    def changes(self) -> bool:
        """Return whether the method may change something."""
        return self.method not in SAFE_METHODS

    @property
    def takes_idempotency_key(self) -> bool:
        """Return whether the request may carry an ``Idempotency-Key``: it changes the data of a tenant."""
        return self.changes and self.writes == "tenant" and self.is_for_tenant

    @property
    def heeds_position(self) -> bool:
        """Return whether a program may send a position, and be told one: the request is about a tenant's data."""
        return self.takes_tokens and self.writes == "tenant"

    @property
    def sometimes(self) -> tuple[str, ...]:
        """Return the headers that any answer may have, besides those of its problem."""
        return (*OF_LIMITS, "X-Position") if self.heeds_position else OF_LIMITS

    @property
    def is_streamed(self) -> bool:
        """Return whether the body is no JSON: any bytes, which the view receives piece by piece."""
        return is_streamed(self.body)

    @property
    def has_ranges(self) -> bool:
        """Return whether a part of the answer can be asked for (``Range``)."""
        return "Accept-Ranges" in self.headers

    @property
    def is_versioned(self) -> bool:
        """Return whether ``If-Match`` and ``If-None-Match`` can name the version of what is read or changed."""
        return self.is_read_by_version or "version_mismatch" in self.problems

    @property
    def is_read_by_version(self) -> bool:
        """Return whether the answer is 304 for a client that has the present version."""
        return self.method == "GET" and "ETag" in self.headers


def read_operations(registry: Any) -> list[Operation]:
    """Return the operations by path, and for each path in the order of ``METHODS``."""
    introspector = registry.introspector
    routes = introspector.get_category("routes") or ()
    patterns = {each["introspectable"]["name"]: each["introspectable"]["pattern"] for each in routes}
    views = introspector.get_category("views") or ()
    found = [_operation(each, patterns) for each in views if each["introspectable"].get("api_query") is not None]
    return sorted(found, key=lambda operation: (operation.path, METHODS.index(operation.method)))


def _operation(entry: Mapping[str, Any], patterns: Mapping[str, str]) -> Operation:
    view = entry["introspectable"]
    pattern = "/" + patterns[view["route_name"]].lstrip("/")
    permissions = [other["value"] for other in entry["related"] if other.category_name == "permissions"]
    permission = permissions[0] if permissions else NO_PERMISSION_REQUIRED
    return Operation(
        route=view["route_name"],
        method=view["request_methods"],
        path=PART.sub(r"{\1}", pattern),
        parts={name: expression or "[^/]+" for name, expression in PART.findall(pattern)},
        view=view["callable"],
        permission=permission,
        body=view["api_body"],
        query=view["api_query"],
        status=view["api_status"],
        answer=view["api_answer"],
        media_type=view["api_media_type"],
        problems=view["api_problems"],
        headers=view["api_headers"],
        reads_tenants=view["reads_tenants"],
        writes=view["api_writes"],
        may_create=view["api_may_create"],
        may_be_part=may_be_part({**view, "permission": permission}),
        fresh=view["fresh"],
        impersonated=view["impersonated"],
        tag=view["api_tag"] or room_of(view["callable"]),
    )


def room_of(view: Callable[..., Any]) -> str:
    """Return the name of the package that a view is in: ``account``, ``workspace``, or a domain's own."""
    names = view.__module__.split(".")
    return names[1] if names[0] == "tenantapp" and len(names) > 1 else names[0]


def describe_tag(tag: str) -> str:
    """Return the summary of the docstring of the package that a tag is named after, or nothing."""
    for name in (f"tenantapp.{tag}", tag):
        try:
            package = import_module(name)
        except ImportError:
            continue
        return (getdoc(package) or "").partition("\n")[0]
    return ""
