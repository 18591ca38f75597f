"""The page over HTTP: the document that starts it, at each of its addresses, and its assets."""

from importlib.metadata import version
from typing import Any, Final

import orjson
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import notfound_view_config, view_config
from webob.acceptparse import AcceptEncodingValidHeader

from tenantapp.tenancy.request import TenantRequest
from tenantapp.web.files import ASSETS, PLAIN, File, Page

PUBLIC: Final = NO_PERMISSION_REQUIRED
# The document names the assets of its version, so a browser that keeps an old one would ask for what is gone.
NEVER: Final = "no-store"
# A name stands for one content (RFC 8246).
FOR_EVER: Final = "public, max-age=31536000, immutable"
HTML: Final = "text/html"
JSON: Final = "application/json"
# What programs, scripts and style sheets ask for: a document in its place would only confuse.
OTHERS: Final = ("api", ASSETS, "components")


@view_config(route_name="home", request_method="GET", permission=PUBLIC)
def home(request: TenantRequest) -> Response:
    """Return the page. Without one, return the version, the address of the API, and the call that signs in."""
    page: Page | None = request.registry.page
    if page is not None:
        return _answer(request, page.index, NEVER)
    named: dict[str, Any] = {"name": "tenantapp", "version": version("tenantapp")}
    named |= {"api": "/api/v1", "sign_in": "POST /api/v1/session"}
    return Response(orjson.dumps(named), content_type="application/json")


@view_config(route_name="page_of_account", request_method="GET", permission=PUBLIC)
@view_config(route_name="page_of_links", request_method="GET", permission=PUBLIC)
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


@notfound_view_config(request_method="GET", is_page_wanted=True)
def show_no_such_page(request: TenantRequest) -> Response:
    """Answer 404 with the page, which then says that there is nothing at the address."""
    answer = _answer(request, request.registry.page.index, NEVER)
    answer.status_int = 404
    return answer


class IsPageWanted:
    """The view predicate ``is_page_wanted``: somebody has typed an address that nothing has, in a browser.

    Browsers prefer HTML to JSON. Whoever takes any type, as programs do, gets a problem document.
    """

    def __init__(self, value: bool, _: object) -> None:
        self.value = value

    def text(self) -> str:
        """Name the predicate."""
        return f"is_page_wanted = {self.value}"

    phash = text

    def __call__(self, _: object, request: TenantRequest) -> bool:
        """Return whether the view may answer."""
        return _is_page_wanted(request) == self.value


def _is_page_wanted(request: TenantRequest) -> bool:
    if request.registry.page is None or getattr(request, "matched_route", None) is not None:
        return False
    if request.environ.get("PATH_INFO", "").lstrip("/").partition("/")[0] in OTHERS:
        return False
    weights = dict(request.accept.acceptable_offers([HTML, JSON]))
    return bool(weights.get(HTML, 0) > weights.get(JSON, 0))


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
    """Add the routes. The page has no others; what begins otherwise is 404, in a browser with the page around it."""
    config.add_view_predicate("is_page_wanted", IsPageWanted)
    config.add_route("home", "/")
    config.add_route("page_of_account", "/account")
    config.add_route("page_of_links", "/links/{purpose}")
    config.add_route("page_of_fleet", "/operator")
    config.add_route("page_of_operator", "/operator/*rest")
    config.add_route("page_of_tenant", "/w/*rest")
    config.add_route("page_assets", f"/{ASSETS}/{{name}}")
    config.scan(__name__)
