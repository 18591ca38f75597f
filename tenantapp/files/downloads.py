"""Answer with the content of a file, so that no browser shows it as a page of ours."""

from collections.abc import Iterator
from typing import IO, Final
from urllib.parse import quote

from pyramid.httpexceptions import HTTPNotModified
from pyramid.response import Response

from tenantapp.api.conditions import tags_in
from tenantapp.api.problems import ApiError
from tenantapp.files.ranges import NotSatisfiable, requested_range
from tenantapp.files.storage import Storage
from tenantapp.tenancy.models import TenantFile
from tenantapp.tenancy.request import TenantRequest

PIECE: Final = 256 * 1024  # bytes
# The type is the same for all files: with it, and with nosniff, no browser runs a file as a script or shows it as a
# page, whatever the client that uploaded it called it. The row has the type that it stated.
CONTENT_TYPE: Final = "application/octet-stream"
SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The content never changes, but the person may lose the right to read it.
    "Cache-Control": "private, no-cache, no-transform",
    "Accept-Ranges": "bytes",
}
# RFC 8187, section 3.2.1: what need not be escaped.
ATTRIBUTE: Final = "!#$&+-.^_`|~"
PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$&'()+,-.=@[]^_`{}~")


class _Pieces:
    """Yields bytes of an open file, and closes it at the end or when the server gives up."""

    def __init__(self, stream: IO[bytes], wanted: range) -> None:
        self._stream, self._wanted = stream, wanted

    def __iter__(self) -> Iterator[bytes]:
        self._stream.seek(self._wanted.start)
        left = len(self._wanted)
        while left and (piece := self._stream.read(min(PIECE, left))):
            left -= len(piece)
            yield piece

    def close(self) -> None:
        self._stream.close()


def content_disposition(name: str) -> str:
    """Return the header that lets a browser save a file under this name (RFC 6266, section 4; RFC 8187).

    Browsers take ``filename*``. ``filename`` is for programs that do not know it.
    """
    plain = "".join(character if character in PLAIN else "_" for character in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=ATTRIBUTE)}"


def download(request: TenantRequest, storage: Storage, file: TenantFile) -> Response:
    """Return the answer to GET or HEAD: the content, a range of it, or 304.

    Raises ``ApiError`` 412 and 416, and ``FilesUnavailable``.
    """
    tag = f'"{file.sha256}"'
    headers = {**SAFE, "ETag": tag, "Content-Disposition": content_disposition(file.name)}
    _check_conditions(request, file.sha256, headers)
    wanted = _wanted(request, tag, file.size)
    response = Response(content_type=CONTENT_TYPE)
    response.headers.update(headers)
    if wanted is not None:
        response.status_int = 206
        response.headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{file.size}"
    wanted = range(file.size) if wanted is None else wanted
    if request.method != "HEAD":
        response.app_iter = _Pieces(storage.open(request.access.require_tenant().id, file.id), wanted)
    response.content_length = len(wanted)
    return response


def _check_conditions(request: TenantRequest, tag: str, headers: dict[str, str]) -> None:
    """Raise 412 or 304 (section 13.2.2)."""
    if (given := request.headers.get("If-Match")) is not None and not _has(given, tag):
        raise ApiError(412, "version_mismatch", "If-Match does not have the tag of this file.")
    if (given := request.headers.get("If-None-Match")) is not None and _has(given, tag):
        raise HTTPNotModified(headers=[(name, headers[name]) for name in ("ETag", "Cache-Control")])


def _has(header: str, tag: str) -> bool:
    return header.strip(" \t") == "*" or tag in tags_in(header)


def _wanted(request: TenantRequest, tag: str, size: int) -> range | None:
    """Return the range that is asked for, if the client's part is of this content (``If-Range``, section 13.1.5)."""
    header = request.headers.get("Range")
    if header is None or request.headers.get("If-Range", tag).strip(" \t") != tag:
        return None
    try:
        return requested_range(header, size)
    except NotSatisfiable:
        detail = f"The range begins after the end of the file, which has {size} bytes."
        headers = [("Content-Range", f"bytes */{size}")]
        raise ApiError(416, "range_not_satisfiable", detail, headers=headers) from None
