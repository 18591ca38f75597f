"""Declare JSON views.

    @api_view("nodes", "POST", permission=Permission.CONTENT_CREATE, body=NodeContent, status=201, answer=Node)
    def create_node(request): ...

The body and the query string are checked before the view runs. The view reads them as ``request.checked_body`` and
``request.checked_query``. Its return value is sent as JSON.

A body has at most ``api.max_body`` bytes, also in a plain Pyramid view, unless the view declares another bound:
``@view_config(..., max_body=10_000_000)``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, Required, TypedDict, TypeVar, Unpack
from uuid import UUID

from pydantic import BaseModel
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from tenantapp.api.json import OptionalBody, read_object, validate
from tenantapp.api.negotiation import check_acceptable, check_content_encoding
from tenantapp.api.problems import ApiError
from tenantapp.api.query import NoQuery, read_query
from tenantapp.api.streamed import StreamedBody, is_streamed, too_large
from tenantapp.content import Content
from tenantapp.identity.permissions import Permission
from tenantapp.sql.ids import UUID_TEXT
from tenantapp.tenancy.request import DatabaseKind, TenantRequest

# A UUID in a route's pattern. Anything else is answered 404 before a view runs.
ID: Final = f"{{id:{UUID_TEXT}}}"
BYTES: Final = "application/octet-stream"
View = Callable[[Any, Any], Any]
Patched = TypeVar("Patched", bound=Content)
# The permissions of calls that are not about the tenant of the request.
OF_NO_TENANT: Final = (
    *(None, NO_PERMISSION_REQUIRED),
    *(Permission.SIGNED_IN, Permission.OWN_ACCOUNT, Permission.FLEET_OPERATE),
)


def path_id(request: TenantRequest) -> UUID:
    """Return the id in the path of a route that has ``ID``."""
    return UUID(request.matchdict["id"])


class ViewOptions(TypedDict, total=False):
    """What ``api_view`` takes. ``permission`` and ``answer`` are required: no view is open or undocumented by mistake.

    ``body`` is the model of the request's body; without it, the view takes none. A ``StreamedBody`` is received
    piece by piece. ``query`` is the model of the query string. ``writes`` names the only database that the view may
    write to. ``answer`` is the model of a successful answer: None without content (204), ``bytes`` for a file, which
    is of the ``media_type``, by default ``application/octet-stream``. ``status`` is its status, and ``headers`` are
    the headers that it always has, of those in ``tenantapp.api.openapi.headers``, and ``Link`` if it may name a next
    page. ``problems`` are the codes of the errors that the view itself can end in. ``tag`` groups the view in the
    document, by default with those of its package. With ``may_create``, the answer is 201 with ``Location`` if the
    request has made something. With ``reads_tenants``, the access includes the tenants that the person may choose.
    ``max_body`` is in bytes and defaults to the setting ``api.max_body``. With ``in_batch=False``, a batch cannot
    have this request as a part. With ``fresh``, the person must have proved lately who they are. With
    ``impersonated``, an operator who works as somebody else may make the call, also if it is about the person or
    changes something. With ``reads_server``, a view that only reads does not read a replica: its answer has to be of
    the present.
    """

    permission: Required[str]
    answer: Required[Any]
    body: type[BaseModel] | None
    query: type[NoQuery]
    writes: DatabaseKind
    media_type: str
    status: int
    problems: Sequence[str]
    headers: Sequence[str]
    tag: str
    may_create: bool
    reads_tenants: bool
    max_body: int | None
    in_batch: bool
    fresh: bool
    impersonated: bool
    reads_server: bool


class MergePatch(BaseModel, Generic[Patched]):
    """Marks a view whose body is a merge patch (RFC 7396) of a model: ``body=MergePatch[NodeContent]``.

    The view reads a JSON object, which ``apply_patch`` checks. The document shows the model's fields.
    """

    @classmethod
    def content(cls) -> type[Content] | None:
        """Return the model that the patch changes, or None for plain ``MergePatch``."""
        return next(iter(cls.__pydantic_generic_metadata__["args"]), None)


def api_view(
    route_name: str, request_method: str, **options: Unpack[ViewOptions]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a JSON view, for Pyramid's scan to find. The arguments are those of ``ViewOptions``."""
    return view_config(**_view_arguments(route_name, request_method, options))  # type: ignore[no-any-return]


def add_api_view(
    config: Configurator, view: Callable[..., Any], route_name: str, request_method: str, **options: Unpack[ViewOptions]
) -> None:
    """Add a JSON view without a scan. The arguments are those of ``ViewOptions``."""
    config.add_view(view, **_view_arguments(route_name, request_method, options))


def _view_arguments(route_name: str, request_method: str, options: ViewOptions) -> dict[str, Any]:
    """Return what Pyramid's ``add_view`` takes for a JSON view. Raises ``TypeError`` if one is missing."""
    for name in ("permission", "answer"):
        if name not in options:
            raise TypeError(f"the JSON view {request_method} {route_name} has no {name}: give it one")
    return {
        "route_name": route_name,
        "request_method": request_method,
        "permission": options["permission"],
        "renderer": "json",
        "api_body": options.get("body"),
        "api_query": options.get("query", NoQuery),
        "api_writes": options.get("writes", "tenant"),
        "api_status": options.get("status", 204 if options["answer"] is None else 200),
        "api_answer": options["answer"],
        "api_media_type": options.get("media_type", BYTES),
        "api_problems": tuple(options.get("problems", ())),
        "api_headers": tuple(options.get("headers", ())),
        "api_tag": options.get("tag"),
        "api_may_create": options.get("may_create", False),
        "api_in_batch": options.get("in_batch", True),
        "api_reads_server": options.get("reads_server", False),
        "reads_tenants": options.get("reads_tenants", False),
        "fresh": options.get("fresh", False),
        "impersonated": options.get("impersonated", False),
        "max_body": options.get("max_body"),
        # Pyramid tries the views of a route with more predicates first. A view that does not match costs as much as
        # making a response, so the most frequent method goes first.
        **({"tried_first": True} if request_method == "GET" else {}),
    }


class TriedFirst:
    """View predicate that always holds. It moves a view to the front of the order."""

    def __init__(self, value: bool, info: Any) -> None:
        self.value = value

    def text(self) -> str:
        return "tried first"

    phash = text

    def __call__(self, context: Any, request: TenantRequest) -> bool:
        return True


def exact_path_view(view: View, info: Any) -> View:
    """Answer 404 to a path that ends in a newline (a view deriver). A route's ``$`` matches before the newline."""
    if info.exception_only:
        return view

    def exact(context: Any, request: TenantRequest) -> Any:
        if request.environ.get("PATH_INFO", "").endswith("\n"):
            raise HTTPNotFound
        return view(context, request)

    return exact


def bounded_body_view(view: View, info: Any) -> View:
    """Refuse a body of more bytes than the view's ``max_body``, or than ``api.max_body`` (a view deriver)."""
    if info.exception_only:
        return view
    own: int | None = info.options.get("max_body")
    streamed = is_streamed(info.options.get("api_body"))

    def bounded(context: Any, request: TenantRequest) -> Any:
        # A streamed body of unknown length is bounded while it is received.
        if not streamed or request.content_length is not None:
            bound_body(request, request.registry.app_settings.api_max_body if own is None else own)
        return view(context, request)

    return bounded


bounded_body_view.options = ("max_body",)  # type: ignore[attr-defined]


def bound_body(request: TenantRequest, limit: int) -> None:
    """Raise ``ApiError`` 413 if the body has more than ``limit`` bytes.

    A body of unknown length is read, up to the limit. Our servers always know the length. Other servers may pass on a
    chunked body.
    """
    if request.content_length is None and request.is_body_readable:
        body = request.body_file.read(limit + 1)
        if len(body) <= limit:
            request.body = body
            return
    elif (request.content_length or 0) <= limit:
        return
    raise too_large(limit)


def checked_request_view(view: View, info: Any) -> View:
    """Check the query string and the body of an API view, and set its status (a view deriver)."""
    query: type[NoQuery] | None = info.options.get("api_query")
    body: type[BaseModel] | None = info.options.get("api_body")
    if query is None:
        return view

    def checked(context: Any, request: TenantRequest) -> Any:
        check_acceptable(request, info.options["api_answer"])
        request.writes = info.options["api_writes"]
        request.reads_server = info.options["api_reads_server"]
        request.checked_query = read_query(request, query)
        request.checked_body = _read_body(request, body)
        request.response.status_int = info.options["api_status"]
        request.response.headers["Cache-Control"] = "no-store"
        return view(context, request)

    return checked


checked_request_view.options = (  # type: ignore[attr-defined]
    "api_body",
    "api_query",
    "api_writes",
    "api_status",
    "api_answer",
    "api_media_type",
    "api_problems",
    "api_headers",
    "api_tag",
    "api_may_create",
    "api_in_batch",
    "api_reads_server",
)


class NotInBatch(Exception):
    """A batch cannot have this request as a part."""


def part_view(view: View, info: Any) -> View:
    """Refuse to be a part of a batch, if the view cannot be one (a view deriver). It raises ``NotInBatch``."""
    if info.exception_only or may_be_part(info.options):
        return view

    def refusing(context: Any, request: TenantRequest) -> Any:
        if request.part_of is not None:
            raise NotInBatch("This call cannot be a part of a batch.")
        return view(context, request)

    return refusing


def may_be_part(options: Mapping[str, Any]) -> bool:
    """Return whether a view with these options can be a part of a batch.

    It must be an API view about the tenant of the request, answer JSON, and write to no other database.
    """
    return (
        options.get("api_query") is not None
        and options["api_in_batch"]
        and options["api_writes"] == "tenant"
        and options["api_answer"] is not bytes
        and not options.get("reads_tenants")
        and options.get("permission") not in OF_NO_TENANT
    )


def _read_body(request: TenantRequest, model: type[BaseModel] | None) -> Any:
    if model is None:
        if request.content_length:
            raise ApiError(400, "unexpected_body", "This request takes no body.")
        return None
    check_content_encoding(request)
    if issubclass(model, StreamedBody):
        return model.receive(request)
    if issubclass(model, OptionalBody) and not request.body:
        return model()
    document = read_object(request)
    return document if issubclass(model, MergePatch) else validate(model, document)
