"""The headers of requests and answers in the document."""

from collections.abc import Collection, Iterable
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
# Those that an answer may have. A view declares ``Link`` with ``headers``; the others follow from what an operation is.
SOMETIMES: Final[dict[str, str]] = {
    "Accept-Encoding": "How the body may be encoded, if its encoding was refused.",
    "Allow": "The methods that the path of the part has, if it does not have that of the part.",
    "Idempotency-Replayed": "`true`: this is the answer that was kept when the request was carried out.",
    "Link": 'The address of the next page, with `rel="next"`, if there is one (RFC 8288).',
    "RateLimit": "What is left of each limit, if the installation limits requests.",
    "RateLimit-Policy": "The limits that the request was counted for, if the installation limits requests.",
    "X-Position": "What a program with an API token, which has sent `X-Position`, sends with the next request to read"
    " nothing older, if the server has replicas.",
}
OF_LIMITS: Final = ("RateLimit", "RateLimit-Policy")
# What any answer over HTTP may have. It says nothing of the operation, so the document leaves it out.
GENERAL: Final = frozenset(
    {
        *("Cache-Control", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Server", "Vary"),
        *("Content-Security-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy"),
        *("Permissions-Policy", "Referrer-Policy", "Strict-Transport-Security", "X-Content-Type-Options"),
        *("Access-Control-Allow-Credentials", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers"),
    }
)
RETRY_AFTER: Final = "Retry-After"
ETAG: Final = "ETag"
# The names of the components for headers that some answers always have, and others only sometimes.
OR_NOT: Final = {RETRY_AFTER: "Retry-After-Or-Not", ETAG: "ETag-Or-Not"}
OF_PROBLEMS: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    416: ("Content-Range",),
    429: (RETRY_AFTER,),
    503: (RETRY_AFTER,),
}
# Those that the answer with a problem may have.
OF_CODES: Final[dict[str, tuple[str, ...]]] = {
    "method_not_allowed": ("Allow",),
    "unsupported_encoding": ("Accept-Encoding",),
    "version_mismatch": (ETAG,),
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
    "XPosition": (
        "X-Position",
        "From a program with an API token: the positions of its last answers, separated by commas, or `unknown`. Only"
        " with it a replica may answer, if it has all that came before those answers.",
    ),
}


def of_problem(status: int, code: str) -> tuple[str, ...]:
    """Return the headers that the answer with this problem always has, without ``ALWAYS``."""
    return () if code == OUTCOME_UNKNOWN else OF_PROBLEMS.get(status, ())


def sometimes_of_problems(codes: Iterable[str]) -> tuple[str, ...]:
    """Return the headers that an answer with one of these problems may have, whatever the operation."""
    return (*OF_LIMITS, *(name for code in codes for name in OF_CODES.get(code, ())))


def of_problems(status: int, codes: Collection[str]) -> dict[str, str]:
    """Return the headers of an answer with one of these problems, and the name of the component of each."""
    named = {name: name for name in (ALWAYS, *OF_PROBLEMS.get(status, ()))}
    named |= {name: OR_NOT.get(name, name) for name in sometimes_of_problems(codes)}
    return named | {RETRY_AFTER: OR_NOT[RETRY_AFTER]} if OUTCOME_UNKNOWN in codes else named


def answered_headers() -> dict[str, Any]:
    """Return the components of the answers' headers."""
    types = {RETRY_AFTER: "integer"}
    components = {
        name: {"description": text, "required": name in ANSWERED, "schema": {"type": types.get(name, "string")}}
        for name, text in (ANSWERED | SOMETIMES).items()
    }
    texts = {
        RETRY_AFTER: f"{ANSWERED[RETRY_AFTER]} An answer `{OUTCOME_UNKNOWN}` does not have it.",
        ETAG: "The tag of the present version of the row, if it was that which did not match.",
    }
    return components | {
        OR_NOT[name]: components[name] | {"description": text, "required": False} for name, text in texts.items()
    }


def sent_headers() -> dict[str, Any]:
    """Return the components of the requests' headers."""
    return {
        key: {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for key, (name, text) in SENT.items()
    }
