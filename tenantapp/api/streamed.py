"""Bodies that are not read before the view: an upload goes to its place as it arrives.

    class Upload(StreamedBody): ...
    @api_view("files", "POST", permission=..., body=Upload, answer=File, in_batch=False)

The body may be of any media type. ``max_body`` of the view bounds it, also if its length is not announced. Our servers
ask the application before they receive a long body (``serving.asking``), so the view's checks of person, permission and
origin come before its first byte.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final, Self

from pydantic import BaseModel

from tenantapp.api.problems import AWAIT_BODY, ApiError
from tenantapp.tenancy.request import TenantRequest

PIECE: Final = 256 * 1024  # bytes


class StreamedBody(BaseModel):
    """Base of what a view gets for a body that it receives piece by piece.

    ``digest`` is the SHA-256 of the body, in hexadecimal. With an ``Idempotency-Key`` it stands for the body.
    """

    digest: str

    @classmethod
    def receive(cls, request: TenantRequest) -> Self:
        """Read the body with ``pieces_of``, and return what the view reads as ``request.checked_body``."""
        raise NotImplementedError


def is_streamed(body: type[BaseModel] | None) -> bool:
    """Return whether a view with this ``body`` receives it piece by piece."""
    return body is not None and issubclass(body, StreamedBody)


def pieces_of(request: TenantRequest, limit: int) -> Iterator[bytes]:
    """Yield the body in pieces of at most 256 KiB.

    Raises ``ApiError``: 413 as soon as there are more than ``limit`` bytes, 400 if the client leaves before the end.
    Raises ``BlockingIOError`` if the server has only asked whether the body is wanted.
    """
    if (await_body := request.environ.get(AWAIT_BODY)) is not None:
        await_body(limit)
    length = request.content_length
    if request.is_body_seekable:
        request.make_body_seekable()  # an earlier attempt may have read it
    source, read = request.environ["wsgi.input"], 0
    if length is None and not request.environ.get("wsgi.input_terminated"):
        return  # there is no body (RFC 9112, section 6.3)
    while (wanted := PIECE if length is None else min(PIECE, length - read)) and (piece := _read(source, wanted)):
        read += len(piece)
        if read > limit:
            raise too_large(limit)
        yield piece
    if length is not None and read < length:
        raise _broken_off()


def _read(source: Any, size: int) -> bytes:
    try:
        piece: bytes = source.read(size)
    except OSError as error:
        raise _broken_off() from error
    return piece


def _broken_off() -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST.value, "bad_request", "The body ended before its announced length.")


def too_large(limit: int) -> ApiError:
    """Return the 413 for a body of more than ``limit`` bytes."""
    return ApiError(413, "body_too_large", f"The body may have at most {limit} bytes.")
