"""The OpenAPI document and its page over HTTP. They describe no tenant, so they are open to all."""

import gzip
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config
from webob.acceptparse import AcceptEncodingValidHeader

from tenantapp.api.openapi.document import Document
from tenantapp.api.problems import ApiError
from tenantapp.tenancy.request import TenantRequest

PUBLIC: Final = NO_PERMISSION_REQUIRED
GZIP: Final = "gzip"
RESOURCES: Final = "resources"
# Nothing inline, and nothing from elsewhere (https://www.w3.org/TR/CSP3/).
CONTENT_SECURITY_POLICY: Final = "; ".join(
    ["default-src 'none'", "style-src 'self'", "script-src 'self'"]
    + [f"{directive} 'none'" for directive in ("base-uri", "form-action", "frame-ancestors")]
)


@view_config(route_name="openapi", request_method="GET", permission=PUBLIC)
def read_document(request: TenantRequest) -> Response:
    """Return the OpenAPI document, or with ``part=resources`` what the page of the resources is drawn from."""
    document: Document = request.registry.openapi
    asked = request.GET.getall("part")
    if asked and asked != [RESOURCES]:
        raise ApiError(400, "invalid_query", f"There is one part of the document: {RESOURCES}.")
    return _cacheable(request, document.resources if asked else document.compact, "application/json")


@view_config(route_name="api_docs", request_method="GET", permission=PUBLIC)
def read_page(request: TenantRequest) -> Response:
    """Return the page that shows the document."""
    document: Document = request.registry.openapi
    response = _cacheable(request, document.page, "text/html")
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@view_config(route_name="api_docs_style", request_method="GET", permission=PUBLIC)
def read_style(request: TenantRequest) -> Response:
    """Return the style of the page."""
    return _cacheable(request, _file("docs.css"), "text/css")


@view_config(route_name="api_docs_script", request_method="GET", permission=PUBLIC)
def read_script(request: TenantRequest) -> Response:
    """Return the script of the page, which filters the calls."""
    return _cacheable(request, _file("docs.js"), "text/javascript")


@cache
def _file(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


@lru_cache(maxsize=16)
def _zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@lru_cache(maxsize=16)
def _tag(content: bytes) -> str:
    return sha256(content).hexdigest()[:32]


def _cacheable(request: TenantRequest, content: bytes, content_type: str) -> Response:
    """Return a response that any cache may keep for some minutes. A client that has it is answered 304.

    It is compressed for clients that say they accept gzip: the document has a tenth of its size then.
    """
    accepted = request.accept_encoding
    zipped = isinstance(accepted, AcceptEncodingValidHeader) and bool(accepted.acceptable_offers([GZIP]))
    body, tag = (_zipped(content), f"{_tag(content)}-{GZIP}") if zipped else (content, _tag(content))
    response = Response(body, content_type=content_type, charset="utf-8", etag=tag)
    if zipped:
        response.headers["Content-Encoding"] = GZIP
    response.headers["Vary"] = "Accept-Encoding"
    response.conditional_response = True
    response.cache_control = "public, max-age=300"
    return response
