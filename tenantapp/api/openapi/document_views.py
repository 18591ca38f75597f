"""The OpenAPI document and its page over HTTP. They describe no tenant, so they are open to all."""

from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from tenantapp.api.openapi.document import Document
from tenantapp.tenancy.request import TenantRequest

PUBLIC: Final = NO_PERMISSION_REQUIRED
# Nothing inline, and nothing from elsewhere (https://www.w3.org/TR/CSP3/).
CONTENT_SECURITY_POLICY: Final = "; ".join(
    ["default-src 'none'", "style-src 'self'", "script-src 'self'"]
    + [f"{directive} 'none'" for directive in ("base-uri", "form-action", "frame-ancestors")]
)


@view_config(route_name="openapi", request_method="GET", permission=PUBLIC)
def read_document(request: TenantRequest) -> Response:
    """Return the OpenAPI document."""
    document: Document = request.registry.openapi
    return _cacheable(document.json, "application/json")


@view_config(route_name="api_docs", request_method="GET", permission=PUBLIC)
def read_page(request: TenantRequest) -> Response:
    """Return the page that shows the document."""
    document: Document = request.registry.openapi
    response = _cacheable(document.page, "text/html")
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@view_config(route_name="api_docs_style", request_method="GET", permission=PUBLIC)
def read_style(request: TenantRequest) -> Response:
    """Return the style of the page."""
    return _cacheable(_file("docs.css"), "text/css")


@view_config(route_name="api_docs_script", request_method="GET", permission=PUBLIC)
def read_script(request: TenantRequest) -> Response:
    """Return the script of the page, which filters the calls."""
    return _cacheable(_file("docs.js"), "text/javascript")


@cache
def _file(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


@lru_cache(maxsize=16)
def _tag(content: bytes) -> str:
    return sha256(content).hexdigest()[:32]


def _cacheable(content: bytes, content_type: str) -> Response:
    """Return a response that any cache may keep for some minutes. A client that has it is answered 304."""
    response = Response(content, content_type=content_type, charset="utf-8", etag=_tag(content))
    response.conditional_response = True
    response.cache_control = "public, max-age=300"
    return response
