"""Read request bodies in full before the application is called, except for those that it receives piece by piece."""

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import Any, Final, Protocol

from gunicorn.http.errors import ParseException

log = logging.getLogger(__name__)
IN_MEMORY: Final = 512 * 1024  # bytes; a longer body goes to a temporary file
PIECE: Final = 64 * 1024  # bytes
RETRY_AFTER: Final = "5"  # seconds

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]


class _Refused(Exception):
    """The body is refused. The argument is the status of the answer."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Unread:
    """A body that the application reads. Malformed chunks are an ``OSError``, like a connection that breaks off."""

    def __init__(self, source: _Readable) -> None:
        self._source = source

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, and none at the end. Raises ``OSError``."""
        try:
            return self._source.read(size)
        except ParseException as error:
            raise OSError("the body is malformed") from error


def read_whole_body(
    app: Application, largest: int, is_streamed: Callable[[Environ], bool] = lambda environ: False
) -> Application:
    """Wrap the application, so that it gets only complete bodies of known length and at most ``largest`` bytes.

    A longer body is answered 413 and not read to its end. If the client leaves before the end of the body, the
    application is not called. If the disk has no room for the body, the answer is 503. A long body for which
    ``is_streamed`` holds is passed on unread, whatever its length: the application bounds it, and notices if the client
    leaves.
    """

    def wrapped(environ: Environ, start_response: Any) -> Iterable[bytes]:
        chunked = environ.pop("HTTP_TRANSFER_ENCODING", None) is not None
        announced = environ.get("CONTENT_LENGTH") or "0"
        if not chunked and announced == "0":
            return app(environ, start_response)
        if (chunked or int(announced) > IN_MEMORY) and is_streamed(environ):
            environ["wsgi.input"] = _Unread(environ["wsgi.input"])
            environ["wsgi.input_terminated"] = True
            return app(environ, start_response)
        with SpooledTemporaryFile(IN_MEMORY) as body:
            try:
                length = _copy(environ["wsgi.input"], body, largest, None if chunked else int(announced))
            except _Refused as refused:
                return _answer(start_response, refused.args[0])
            body.seek(0)
            environ["wsgi.input"] = body
            environ["CONTENT_LENGTH"] = str(length)
            # The body is closed when this function returns, before a streamed answer is sent.
            return app(environ, start_response)

    return wrapped


def _copy(source: _Readable, body: Any, largest: int, announced: int | None) -> int:
    """Copy a body and return its length in bytes. Raises ``_Refused``."""
    if (announced or 0) > largest:
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    length = 0
    while piece := source.read(PIECE):
        length += len(piece)
        if length > largest:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            body.write(piece)
        except OSError as error:
            log.warning("There is no room for the body of a request: %s", error.strerror)
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE) from error
    if announced is not None and length < announced:
        raise _Refused(HTTPStatus.BAD_REQUEST)
    return length


def _answer(start_response: Any, status: HTTPStatus) -> list[bytes]:
    text = f"{status.phrase}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", RETRY_AFTER))
    start_response(f"{status.value} {status.phrase}", headers)
    return [text]
