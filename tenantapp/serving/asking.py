"""Ask the application whether it wants a long body, before the body is received.

The application is called with a body that cannot be read yet. It may answer all the same: 401, 404 or 413. If it
begins to read, it wants the body, and what it did until then comes to nothing: reading raises an error, which undoes
the transaction. When the body has arrived, the application is called again, with the body.

So strangers cannot fill the disk, and a file that is too large is refused before its first byte.
"""

import copy
import logging
from typing import Any, Final, NoReturn

from tenantapp.serving.refusals import Answer, TooLarge, refusal

log = logging.getLogger(__name__)

AWAIT_BODY: Final = "tenantapp.await_body"


class Awaited:
    """A body that has not been received.

    To call it, or to read from it, says that the application wants the body, and raises ``BlockingIOError``.
    ``limit`` is the most bytes that it wants, if it has said so. ``counted`` is what it has counted the request for.
    The application finds this object in the environment as ``tenantapp.await_body``.
    """

    def __init__(self) -> None:
        self.is_wanted = False
        self.limit: int | None = None
        self.counted: set[str] = set()

    def __call__(self, limit: int | None = None) -> NoReturn:
        self.is_wanted, self.limit = True, limit
        raise BlockingIOError("the body has not been received yet")

    def read(self, *size: int) -> NoReturn:
        """Say that the body is wanted. Raises ``BlockingIOError``."""
        self()

    readline = readlines = __iter__ = read


class Question:
    """A task of waitress: a thread asks the application about the request of a channel."""

    def __init__(self, channel: Any, request: Any) -> None:
        self._channel, self._request = channel, request

    def service(self) -> None:
        """Ask, and go on as the application says."""
        channel, awaited = self._channel, Awaited()
        try:
            answer = self._ask(awaited)
            self._request.counted = frozenset(awaited.counted)
            if answer is not None:
                channel.refuse(answer)
            elif self._request.bound(channel.server.largest if awaited.limit is None else awaited.limit):
                channel.go_on()
            else:
                channel.refuse(TooLarge(""))
        finally:
            channel.accepted_late = 0.0
            channel.server.has_finished()

    def cancel(self) -> None:
        """Give up."""
        self._channel.cancel()

    def _ask(self, awaited: Awaited) -> Answer | None:
        """Return the answer of the application, or None if it wants the body."""
        status, headers = "", []
        parts: list[bytes] = []

        def start_response(its_status: str, its_headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status, headers
            status, headers = its_status, its_headers
            return parts.append

        try:
            answer = self._channel.server.application(self._environ(awaited), start_response)
            parts += answer
            if hasattr(answer, "close"):
                answer.close()
        except Exception:
            if not awaited.is_wanted:
                log.exception("The application failed.")
                return refusal(500, self._channel.addr[0], secure=False)
        return None if awaited.is_wanted else Answer(status, headers, b"".join(parts))

    def _environ(self, awaited: Awaited) -> dict[str, Any]:
        without = copy.copy(self._request)
        without.body_rcv = None
        environ: dict[str, Any] = self._channel.task_class(self._channel, without).get_environment()
        return environ | {"wsgi.input": awaited, AWAIT_BODY: awaited}
