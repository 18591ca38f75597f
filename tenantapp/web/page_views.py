"""The page over HTTP: the document that starts it, at each of its addresses, and its assets."""

from importlib.metadata import version
from typing import Any, Final

import orjson
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config
from webob.acceptparse import AcceptEncodingValidHeader

from tenantapp.tenancy.request import TenantRequest
from tenantapp.web.files import ASSETS, PLAIN, File, Page

PUBLIC: Final = NO_PERMISSION_REQUIRED
# The document names the assets of its version, so a browser that keeps an old one would ask for what is gone.
NEVER: Final = "no-store"
# A name stands for one content (RFC 8246).
FOR_EVER: Final = "public, max-age=31536000, immutable"


@view_config(route_name="home", request_method="GET", permission=PUBLIC)
def home(request: TenantRequest) -> Response:
    """Return the page. Without one, return the version, the address of the API, and the call that signs in."""
    page: Page | None = request.registry.page
    if page is not None:
        return _answer(request, page.index, NEVER)
    named: dict[str, Any] = {"name": "tenantapp", "version": version("tenantapp")}
    named |= {"api": request.host_url + "/api/v1", "sign_in": "POST /api/v1/session"}
    return Response(orjson.dumps(named), content_type="application/json")


@view_config(route_name="page_of_account", request_method="GET", permission=PUBLIC)
@view_config(route_name="page_of_fleet", request_method="GET", permission=PUBLIC)
@view_config(route_name="page_of_operator", request_method="GET", permission=PUBLIC)
@view_config(route_name="page_of_tenant", request_method="GET", permission=PUBLIC)
def start_page(request: TenantRequest) -> Response:
    """Return the document that starts the page, which reads the rest of the address itself."""
    page: Page | None = request.registry.page
    if page is None:
        raise HTTPNotFound
    return _answer(request, page.index, NEVER)


@view_config(route_name="page_assets", request_method="GET", permission=PUBLIC)
def read_asset(request: TenantRequest) -> Response:
    """Return a script, a style or a picture of the page."""
    page: Page | None = request.registry.page
    asset = None if page is None else page.assets.get(request.matchdict["name"])
    if asset is None:
        raise HTTPNotFound
    return _answer(request, asset, FOR_EVER)


def _answer(request: TenantRequest, file: File, caching: str) -> Response:
    encoding = _encoding(request, file)
    response = Response(file.contents[encoding])
    response.headers["Content-Type"] = file.media_type
    response.headers["Cache-Control"] = caching
    response.headers["Vary"] = "Accept-Encoding"
    if encoding != PLAIN:
        response.headers["Content-Encoding"] = encoding
    return response


def _encoding(request: TenantRequest, file: File) -> str:
    """Return the best encoding that the client accepts. A client that names none, or nonsense, gets plain bytes."""
    accepted = request.accept_encoding
    if not isinstance(accepted, AcceptEncodingValidHeader):
        return PLAIN
    # To ask for plain bytes as well would prefer them: whoever names no other encoding accepts these most.
    offers = accepted.acceptable_offers([encoding for encoding in file.contents if encoding != PLAIN])
    return str(offers[0][0]) if offers else PLAIN


def includeme(config: Configurator) -> None:
    """Add the routes. The page has no others; what begins otherwise is 404."""
    config.add_route("home", "/")
    config.add_route("page_of_account", "/account")
    config.add_route("page_of_fleet", "/operator")
    config.add_route("page_of_operator", "/operator/*rest")
    config.add_route("page_of_tenant", "/w/*rest")
    config.add_route("page_assets", f"/{ASSETS}/{{name}}")
    config.scan(__name__)
