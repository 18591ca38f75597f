"""Conditional requests (RFC 9110, section 13): the version of a resource as its ETag."""

from typing import Any

from webob.etag import AnyETag


def if_match(request: Any) -> frozenset[int] | None:
    """The versions that ``If-Match`` accepts, or None if any will do.

    An entity tag that is none of ours matches nothing; weak ones never match (section 8.8.3.2).
    """
    matcher = request.if_match
    if matcher is AnyETag:
        return None
    return frozenset(int(tag) for tag in matcher.etags if tag.isascii() and tag.isdigit() and len(tag) < 10)


def send_version(request: Any, version: int) -> None:
    """Answer with the version as ETag; WebOb answers 304 if the client has it."""
    request.response.etag = str(version)
    request.response.cache_control = "private, no-cache"
    request.response.conditional_response = True
