"""Conditional requests (RFC 9110, section 13): the version of a resource is its ETag."""

import re
from collections.abc import Callable
from typing import Final

from tenantapp.tenancy.request import SAFE_METHODS, TenantRequest

ENTITY_TAGS: Final = re.compile(r'\s*(?:W/)?"[^"]*"\s*(?:,\s*(?:W/)?"[^"]*"\s*)*')
ENTITY_TAG: Final = re.compile(r'(W/)?"([^"]*)"')


def precondition(request: TenantRequest) -> Callable[[int], bool]:
    """Return a function that says whether ``If-Match`` and ``If-None-Match`` permit a change of a given version.

    Weak entity tags never match in ``If-Match`` (section 8.8.3.2). A malformed header matches nothing.
    """
    wanted, unwanted = request.headers.get("If-Match"), request.headers.get("If-None-Match")

    def holds(version: int) -> bool:
        if wanted is not None and not _matches(wanted, version, weak=False):
            return False
        return unwanted is None or not _matches(unwanted, version, weak=True)

    return holds


def send_version(request: TenantRequest, version: int) -> None:
    """Send the version as ETag. A ``GET`` from a client that has this version is answered 304."""
    response = request.response
    response.etag = str(version)
    response.cache_control = "private, no-cache"
    # Only for methods that change nothing. Ranges are ignored: no resource supports them.
    response.conditional_response = request.method in SAFE_METHODS
    request.environ.pop("HTTP_RANGE", None)


def _matches(header: str, version: int, *, weak: bool) -> bool:
    if header.strip() == "*":
        return True
    if not ENTITY_TAGS.fullmatch(header):
        return False
    return any(tag == str(version) and (weak or not weakness) for weakness, tag in ENTITY_TAG.findall(header))
