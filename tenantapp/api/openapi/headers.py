"""The headers of requests and answers in the document."""

from collections.abc import Iterable
from typing import Any, Final

from tenantapp.api.problems import OUTCOME_UNKNOWN

# Those that a view declares with ``headers`` if its successful answers always have them, and those of every answer.
ANSWERED: Final[dict[str, str]] = {
    "Accept-Ranges": "A part can be asked for with `Range`.",
    "Clear-Site-Data": "What a browser is to forget.",
    "Content-Disposition": "The name of the file.",
    "Content-Range": "Which bytes these are, and of how many.",
    "ETag": "An opaque tag of the version. Send it in `If-Match` with a change, or in `If-None-Match` with a read.",
    "Location": "The address of what was made or requested.",
    "Retry-After": "Wait this many seconds before you try again.",
    "Set-Cookie": "The cookie of the session; after a sign-in also that of the known device.",
    "WWW-Authenticate": "The scheme of API tokens; `error` says that the token was wrong (RFC 6750).",
    "X-Request-ID": "The id of the request in the server's log.",
}
ALWAYS: Final = "X-Request-ID"
RETRY_AFTER: Final = "Retry-After"
RETRY_AFTER_OR_NOT: Final = "Retry-After-Or-Not"  # the name of a component
OF_PROBLEMS: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    416: ("Content-Range",),
    429: (RETRY_AFTER,),
    503: (RETRY_AFTER,),
}
SENT: Final[dict[str, tuple[str, str]]] = {
    "XTenant": (
        "X-Tenant",
        "The slug of the tenant that the call is for, in place of the one that the session has selected.",
    ),
    "IdempotencyKey": (
        "Idempotency-Key",
        "A value of your own for this change, such as a UUID. Sent again with the same one, it is made once.",
    ),
    "Range": ("Range", "`bytes=0-499`: answer 206 with these bytes. Several ranges are answered with all bytes."),
    "IfRange": ("If-Range", "An entity tag: heed `Range` only if the present content has it."),
    "IfMatch": ("If-Match", "Entity tags: answer only if the present version is one of them, otherwise 412."),
    "IfNoneMatch": ("If-None-Match", "Entity tags: answer only if the present version is none of them."),
}


def of_problem(status: int, code: str) -> tuple[str, ...]:
    """Return the headers that the answer with this problem always has, without ``ALWAYS``."""
    return () if code == OUTCOME_UNKNOWN else OF_PROBLEMS.get(status, ())


def of_problems(status: int, codes: Iterable[str]) -> dict[str, str]:
    """Return the headers of an answer with one of these problems, and the name of the component of each."""
    named = {name: name for name in (ALWAYS, *OF_PROBLEMS.get(status, ()))}
    return named | {RETRY_AFTER: RETRY_AFTER_OR_NOT} if OUTCOME_UNKNOWN in codes else named


def answered_headers() -> dict[str, Any]:
    """Return the components of the answers' headers."""
    types = {RETRY_AFTER: "integer"}
    components = {
        name: {"description": text, "required": True, "schema": {"type": types.get(name, "string")}}
        for name, text in ANSWERED.items()
    }
    text = f"{ANSWERED[RETRY_AFTER]} An answer `{OUTCOME_UNKNOWN}` does not have it."
    return components | {RETRY_AFTER_OR_NOT: components[RETRY_AFTER] | {"description": text, "required": False}}


def sent_headers() -> dict[str, Any]:
    """Return the components of the requests' headers."""
    return {
        key: {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for key, (name, text) in SENT.items()
    }
