"""What a client sends and accepts besides JSON: refuse a compressed body, and an ``Accept`` that excludes JSON."""

import re
from functools import lru_cache
from typing import Any, Final

from tenantapp.api.problems import CONTENT_TYPE, ApiError
from tenantapp.tenancy.request import TenantRequest

ADMITTING: Final = ("application/json", "application/*", "*/*")  # the most specific first
RANGE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110, sections 5.6.2 and 12.5.1
NEVER: Final = re.compile(r"q\s*=\s*0(\.0{0,3})?")
REMEMBERED: Final = 256  # headers, and characters of the longest one: clients send few different ones


def check_acceptable(request: TenantRequest, answer: Any) -> None:
    """Raise ``ApiError`` 406 if the client excludes JSON, and the view's declared answer is JSON."""
    header = request.environ.get("HTTP_ACCEPT")
    if header is None or answer is None or answer is bytes:
        return
    accepted = _accepts_json(header) if len(header) <= REMEMBERED else accepts_json(header)
    if not accepted:
        raise ApiError(406, "not_acceptable", "The answer is application/json, which the Accept header excludes.")


def accepts_json(header: str) -> bool:
    """Return whether an ``Accept`` header admits JSON (RFC 9110, section 12.5.1), or names the JSON of problems.

    Of the ranges that match a type the most specific one counts. Parameters other than ``q`` are ignored, and so are
    malformed elements. A header without a well-formed element says nothing.
    """
    ranges = dict(filter(None, map(_read_range, header.lower().split(","))))
    admitted = next((ranges[each] for each in ADMITTING if each in ranges), False)
    return not ranges or admitted or ranges.get(CONTENT_TYPE, False)


_accepts_json = lru_cache(REMEMBERED)(accepts_json)


def _read_range(element: str) -> tuple[str, bool] | None:
    """Return a media range, and whether its weight is above zero. Return None if it is malformed."""
    media_range, *parameters = (part.strip() for part in element.split(";"))
    if not RANGE.fullmatch(media_range):
        return None
    return media_range, not any(NEVER.fullmatch(parameter) for parameter in parameters)


def check_content_encoding(request: TenantRequest) -> None:
    """Raise ``ApiError`` 415 if the body is compressed. The answer says what is read (RFC 9110, section 12.5.3)."""
    codings = request.environ.get("HTTP_CONTENT_ENCODING", "")
    if codings and any(coding.strip().lower() not in ("", "identity") for coding in codings.split(",")):
        detail = "Send the body as it is, without a Content-Encoding."
        raise ApiError(415, "unsupported_encoding", detail, headers=[("Accept-Encoding", "identity")])
