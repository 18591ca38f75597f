"""Conditional requests (RFC 9110, section 13).

The entity tag of a resource is opaque to clients. It is made of the epoch of the tenant's database
(``tenantapp.identity.epochs``) and of the version of the row. So it is unique to the tenant, to the incarnation of its
content and to the version, and it is a strong validator. What is shown with a row and belongs to others, such as the
name of its owner, changes without a version. Then the tag has a checksum of the text that is shown too.

``If-Modified-Since`` and ``If-Unmodified-Since`` are ignored, as no answer has a ``Last-Modified``. Ranges are ignored.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pyramid.httpexceptions import HTTPNotModified

from tenantapp.api.problems import ApiError
from tenantapp.tenancy.request import SAFE_METHODS, TenantRequest

# RFC 9110, section 8.8.3: no spaces, no quotes. Bytes above 0x7F are obs-text, which WSGI passes as latin-1.
ENTITY_TAG: Final = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# A proxy that compresses an answer may mark the tag as weak (nginx), or add a suffix (Apache, Jetty).
ADDED_BY_PROXIES: Final = re.compile(r"--?(?:gzip|br|zstd|deflate)\Z")
CHECKSUM: Final = re.compile(r"\.[0-9a-f]{8}\Z")
# Compressing would make another representation, with another tag. Private caches ask each time.
VERSIONED: Final = "private, no-cache, no-transform"


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a request on a resource in the tenant's database. A malformed header matches nothing.

    A tag counts as ours also if a proxy has marked it as weak or has added a suffix. RFC 9110 wants the strong
    comparison for ``If-Match``. Our tags are always strong, and a proxy that compresses does not change the content, so
    this lets no change through that was made on another state.

    For a change, the version decides alone. A change replaces nothing of what belongs to others, so it need not be
    refused because the owner of the row has another name by now.
    """

    epoch: str
    if_match: str | None
    if_none_match: str | None

    @property
    def only_new(self) -> bool:
        """Return whether the client wants to make the resource, but not to replace it (``If-None-Match: *``)."""
        return self.if_none_match is not None and self.if_none_match.strip(" \t") == "*"

    def permit(self, version: int | None) -> bool:
        """Return whether a change of this version is permitted. None stands for a resource that does not exist."""
        return self.matched(version) and not self.known(version)

    def matched(self, version: int | None, shown: str | None = None) -> bool:
        """Return whether ``If-Match`` is missing or has the tag of this version, and of this text if one is shown."""
        return self.if_match is None or self._has(self.if_match, version, shown)

    def known(self, version: int | None, shown: str | None = None) -> bool:
        """Return whether ``If-None-Match`` has the tag of this version, and of this text if one is shown."""
        return self.if_none_match is not None and self._has(self.if_none_match, version, shown)

    def _has(self, header: str, version: int | None, shown: str | None) -> bool:
        if version is None:
            return False
        if header.strip(" \t") == "*":
            return True
        tags = tags_in(header)
        return _tag(self.epoch, version, shown) in (tags if shown else [CHECKSUM.sub("", tag) for tag in tags])


def conditions_of(request: TenantRequest) -> Conditions:
    """Return the conditions of a request. Raises the access's refusal if the request has no tenant."""
    epoch = request.access.require_tenant().epoch
    return Conditions(epoch, request.headers.get("If-Match"), request.headers.get("If-None-Match"))


def precondition(request: TenantRequest) -> Callable[[int | None], bool]:
    """Return a function that says whether ``If-Match`` and ``If-None-Match`` permit a change of a given version.

    The version of a resource that does not exist is None.
    """
    return conditions_of(request).permit


def entity_tag(request: TenantRequest, version: int, shown: str | None = None) -> str:
    """Return the value of ``ETag`` for this version of a resource in the tenant's database, with its quotes.

    ``shown`` is the text that is shown, if a part of it can change without the version.
    """
    return f'"{_tag(request.access.require_tenant().epoch, version, shown)}"'


def send_version(request: TenantRequest, version: int, shown: str | None = None) -> None:
    """Send the entity tag of this version, see ``entity_tag``.

    For a method that changes nothing, the conditions of the request decide (section 13.2.2). Raises ``ApiError`` 412 if
    ``If-Match`` does not have the tag, and answers 304 if ``If-None-Match`` has it.
    """
    sent = {"ETag": entity_tag(request, version, shown), "Cache-Control": VERSIONED}
    request.response.headers.update(sent)
    if request.method not in SAFE_METHODS:
        return
    conditions = conditions_of(request)
    if not conditions.matched(version, shown):
        detail = "If-Match does not have the tag of the present version."
        raise ApiError(412, "version_mismatch", detail, headers=[("ETag", sent["ETag"])])
    if conditions.known(version, shown):
        raise HTTPNotModified(headers=list(sent.items()))


def mismatch_headers(request: TenantRequest, error: Any) -> dict[str, str]:
    """Return the entity tag of the version that an error names, so that a client can go on from there."""
    return {"ETag": entity_tag(request, error.version, getattr(error, "shown", None))}


def _tag(epoch: str, version: int, shown: str | None) -> str:
    tag = f"{epoch}-{version}"
    return f"{tag}.{zlib.crc32(shown.encode()):08x}" if shown else tag


def tags_in(header: str) -> list[str]:
    """Return the tags in a list, as we have sent them. Empty elements are skipped (section 5.6.1.2).

    The list is read from left to right once, so a long header takes no more than its length.
    """
    tags, position, is_separated = list[str](), 0, True
    while position < len(header):
        if header[position] in " \t,":
            is_separated = is_separated or header[position] == ","
            position += 1
            continue
        found = ENTITY_TAG.match(header, position)
        if found is None or not is_separated:
            return []
        tags.append(ADDED_BY_PROXIES.sub("", found[1]))
        position, is_separated = found.end(), False
    return tags
