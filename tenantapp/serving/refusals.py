"""What the server itself answers: requests that never reach the application. Problem documents (RFC 9457), like ours.

``docs/api.md`` lists the codes. The details do not repeat what the client sent.
"""

import json
import logging
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from waitress.utilities import Error

log = logging.getLogger(__name__)

HEAD_LIMIT: Final = 32 * 1024  # bytes of a request line and its headers together
RETRY_AFTER: Final = "5"  # seconds
YEAR: Final = "max-age=31536000"
REFUSALS: Final[dict[int, tuple[str, str]]] = {
    400: ("bad_request", "The request is not valid HTTP, or a header of the proxy is malformed."),
    408: ("request_timeout", "The request did not arrive in time."),
    413: ("body_too_large", "The body is larger than this server reads."),
    431: ("headers_too_large", f"The request line and the headers may have {HEAD_LIMIT} bytes together."),
    500: ("internal_error", "The server failed. Its log has the cause, by request_id."),
    501: ("not_implemented", "Send the body with a Content-Length, or with Transfer-Encoding: chunked."),
    503: ("busy", "The server has no room for the body now. Try again later."),
}
# OWASP ASVS 5.0, chapter 3.4. The answer is data, so a browser is to do nothing with it.
HEADERS: Final = (
    ("Content-Type", "application/problem+json"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


class TimedOut(Error):
    """A request did not arrive in time."""

    code = 408
    reason = "Request Timeout"


class TooLarge(Error):
    """A body is larger than its bound."""

    code = 413
    reason = "Content Too Large"


class NoRoom(Error):
    """The disk has no room for a body."""

    code = 503
    reason = "Service Unavailable"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, as WSGI has it: ``status`` is ``404 Not Found``."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


def refusal(status: int, client: str, *, secure: bool) -> Answer:
    """Return the problem document for one of ``REFUSALS``, and log it.

    ``client`` is the address of the other side. ``secure`` says that the answer travels over TLS in the end.
    """
    code, detail = REFUSALS[status]
    phrase, request_id = HTTPStatus(status).phrase, secrets.token_hex(16)
    document = {"type": "about:blank", "title": phrase, "status": status, "code": code, "detail": detail}
    body = json.dumps(document | {"errors": [], "request_id": request_id}).encode()
    headers = [*HEADERS, ("X-Request-ID", request_id), ("Content-Length", str(len(body)))]
    if secure:
        headers.append(("Strict-Transport-Security", YEAR))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", RETRY_AFTER))
    fields = {"request_id": request_id, "status": status, "client": client}
    log.info("A request from %(client)s was refused: %(status)s", fields, extra=fields)
    return Answer(f"{status} {phrase}", headers, body)


def answering(answer: Answer, start_response: Any) -> list[bytes]:
    """Give an answer as a WSGI application does."""
    start_response(answer.status, answer.headers)
    return [answer.body]
