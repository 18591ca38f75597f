"""Carry out several requests as one: all of them, or none.

Each part of a batch is a request of its own to Pyramid. It passes all checks of its own view: permission, query, body
and conditions. What belongs to the whole is done once: the access is read, the CSRF token is checked, and one
transaction is committed or rolled back. A part begins on what the parts before it have written.

A part that fails ends the batch with its error. The error is raised here, so it dooms the transaction, and a conflict
is tried again, as if the part had been sent alone.
"""

import time
from http import HTTPStatus
from io import BytesIO
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote_to_bytes, urljoin

import orjson
from orjson import Fragment
from pydantic import FailFast, Field, field_validator, model_validator
from pyramid.httpexceptions import HTTPException
from pyramid.response import Response

from tenantapp.answers import Answer
from tenantapp.api.address import is_utf8
from tenantapp.api.json import Body, invalid, is_json
from tenantapp.api.problems import CONTENT_TYPE, ApiError, problem_response
from tenantapp.api.views import NotInBatch, api_view
from tenantapp.content import example
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.named_tenants import PREFIX, RESERVED, with_tenant
from tenantapp.tenancy.request import TenantRequest

# RFC 3986, sections 3.3 and 3.4, in a path that begins with a slash.
PATH: Final = r"^/[A-Za-z0-9._~!$&'()*+,;=:@/%-]*(\?[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?$"
MOST_OF_A_PATH: Final = 8000  # characters (RFC 9110, section 4.1)
HEADER: Final = r"^[ -~]*$"
ANSWERED: Final = ("Location", "ETag")
# Of the headers of the batch, what says who sends it, and for which tenant.
KEPT_HEADERS: Final = ("HTTP_HOST", "HTTP_AUTHORIZATION", "HTTP_COOKIE", "HTTP_X_TENANT", "HTTP_USER_AGENT")
DROPPED: Final = ("HTTP_", "CONTENT_", "RAW_URI", "REQUEST_URI", "webob.")


class PartHeaders(Body):
    """The headers that a part may have: its conditions (RFC 9110, section 13.1)."""

    if_match: str | None = Field(None, alias="If-Match", pattern=HEADER)
    if_none_match: str | None = Field(None, alias="If-None-Match", pattern=HEADER)

    @model_validator(mode="before")
    @classmethod
    def _in_one_case(cls, given: Any) -> Any:
        """Accept the names in any case (RFC 9110, section 5.1)."""
        if not isinstance(given, dict):
            return given
        names = {"if-match": "If-Match", "if-none-match": "If-None-Match"}
        found = {names.get(name.lower(), name): value for name, value in given.items()}
        if len(found) < len(given):
            raise ValueError("A header is given twice.")
        return found


class BatchPart(Body):
    """One request of a batch. ``path`` is below ``/api/v1`` and may have a query string."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str = Field(pattern=PATH, max_length=MOST_OF_A_PATH)
    headers: PartHeaders | None = None
    body: dict[str, Any] | None = None

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        try:
            decoded = unquote_to_bytes(path.partition("?")[0]).decode()
        except UnicodeDecodeError:
            raise ValueError("The path is not UTF-8.") from None
        if not is_utf8(path.partition("?")[2], quoted=True):
            raise ValueError("The query string is not UTF-8.")
        if RESERVED.match(PREFIX + decoded):
            raise ValueError("A part cannot name a tenant. Name it in the batch.")
        first, *between = decoded.split("/")[1:]
        if {".", ".."} & {first, *between} or "" in [first, *between][:-1]:
            raise ValueError("A path has no empty parts, and none that is . or ..")
        return path


class Batch(
    Body,
    json_schema_extra=example(
        {"requests": [{"method": "GET", "path": "/members"}, {"method": "GET", "path": "/changes"}]}
    ),
):
    """The requests of a batch, in their order."""

    # FailFast: a million wrong parts are not worth a million errors.
    requests: Annotated[list[BatchPart], FailFast()] = Field(min_length=1)

    @property
    def only_reads(self) -> bool:
        """Return whether no part may change anything."""
        return all(part.method == "GET" for part in self.requests)


class PartAnswer(Answer):
    """The answer to a part. ``headers`` has ``Location`` and ``ETag``, if the part has them."""

    status: int
    headers: dict[str, str]
    body: Any


class BatchAnswer(Answer):
    """The answers to the parts, in their order."""

    responses: list[PartAnswer]


@api_view(
    "batch",
    "POST",
    permission=Permission.TENANT_ENTER,
    body=Batch,
    answer=BatchAnswer,
    problems=("batch_too_large",),
    tag="batch",
    in_batch=False,
    impersonated=True,
)
def run_batch(request: TenantRequest) -> Any:
    """Carry out several requests in one transaction: all of them, or none.

    If a part fails, nothing of the batch is kept. The answer is the error of that part, and its ``part`` is the index
    of the part, from 0. Pointers in it are into the body of the part. An error without ``part`` concerns the batch.
    """
    settings = request.registry.app_settings
    parts = request.checked_body.requests
    if len(parts) > settings.api_batch:
        raise ApiError(413, "batch_too_large", f"A batch may have at most {settings.api_batch} parts.")
    request.charge(len(parts) - 1)
    if request.checked_body.only_reads and "tenant_session" not in request.__dict__:
        request.writes = None  # so that it waits for no writer, and none for it
    answers: list[dict[str, Any]] = []
    size, end = 0, time.monotonic() + settings.api_batch_seconds
    for index, content in enumerate(parts):
        if index and time.monotonic() > end:
            # A batch holds its thread and its locks for as long as all of its parts take.
            detail = f"The batch has taken more than {settings.api_batch_seconds:g} seconds. Send fewer parts at once."
            raise ApiError(413, "batch_too_large", detail)
        request.running_part = part = _part(request, index, content)
        response = _run(request, part)
        if response.status_int >= 400:
            return _failure(part, response)
        size += len(response.body)
        if size > settings.api_batch_answer:
            detail = f"The answers in a batch may have at most {settings.api_batch_answer} bytes together."
            raise ApiError(413, "batch_too_large", detail)
        answers.append(_answer(part, response))
        request.running_part = None
    return {"responses": answers}


def _part(request: TenantRequest, index: int, content: BatchPart) -> TenantRequest:
    """Return the request of a part. It names the tenant as the batch does, so its addresses do too."""
    path, _, query = content.path.partition("?")
    path = f"{PREFIX}{unquote_to_bytes(path).decode('latin-1')}"
    body = b"" if content.body is None else orjson.dumps(content.body)
    environ: dict[str, Any] = {
        **{name: value for name, value in request.environ.items() if not name.startswith(DROPPED)},
        **{name: request.environ[name] for name in KEPT_HEADERS if name in request.environ},
        **_conditions(content.headers),
        "REQUEST_METHOD": content.method,
        "PATH_INFO": path if request.path_tenant is None else with_tenant(path, request.path_tenant),
        "QUERY_STRING": query,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
    }
    return request.part(index, environ)


def _conditions(headers: PartHeaders | None) -> dict[str, str]:
    given = headers and {"HTTP_IF_MATCH": headers.if_match, "HTTP_IF_NONE_MATCH": headers.if_none_match}
    return {name: value for name, value in (given or {}).items() if value is not None}


def _run(request: TenantRequest, part: TenantRequest) -> Response:
    """Return the answer to a part, with its changes written to the database. Raises what the part raises."""
    try:
        response = request.invoke_subrequest(part, use_tweens=False)
        if response.status_int < 400:
            _check_kept(part, response)
    except NotInBatch as error:
        # The fault is in the batch, not in the part.
        request.running_part = None
        raise invalid([(f"/requests/{part.part_index}/path", str(error))]) from None
    except HTTPException as answer:
        if answer.status_int >= 400:
            raise
        response = answer  # 304
    if "tenant_session" in request.__dict__:
        # The next part finds the session as its own request would: with nothing loaded.
        request.tenant_session.flush()
        request.tenant_session.expunge_all()
    return response


def _check_kept(part: TenantRequest, response: Response) -> None:
    """Raise ``NotInBatch`` if the view wants to keep nothing, or does not answer JSON."""
    if part.tm.isDoomed() or response.headers.get("X-Tm", "commit") != "commit":
        raise NotInBatch("This call keeps nothing, so it cannot be a part of a batch.")
    if response.body and not is_json(response.content_type or ""):
        raise NotInBatch("This call does not answer JSON, so it cannot be a part of a batch.")


def _failure(part: TenantRequest, response: Response) -> Response:
    """Return the error that a view has returned. Its status aborts the transaction."""
    if response.content_type == CONTENT_TYPE:
        return response
    status = HTTPStatus(response.status_int)
    return problem_response(part, status, status.name.lower(), f"The part was answered {status.value} {status.phrase}.")


def _answer(part: TenantRequest, response: Response) -> dict[str, Any]:
    headers = {name: response.headers[name] for name in ANSWERED if name in response.headers}
    if "Location" in headers:
        headers["Location"] = urljoin(part.path_url, headers["Location"])  # as WebOb does when it sends a response
    return {
        "status": response.status_int,
        "headers": headers,
        "body": Fragment(response.body) if response.body else None,
    }
