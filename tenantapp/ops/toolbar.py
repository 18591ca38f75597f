"""The debug toolbar's panels, without cookies, tokens and passwords.

The toolbar keeps the last hundred requests and shows them to everybody on the machine. ``make_app`` puts this module
into ``debugtoolbar.includes``. It is imported only if the toolbar is used.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pyramid_debugtoolbar.panels.headers import HeaderDebugPanel
from pyramid_debugtoolbar.panels.renderings import RenderingsDebugPanel
from pyramid_debugtoolbar.panels.request_vars import RequestVarsDebugPanel
from pyramid_debugtoolbar.panels.settings import SettingsDebugPanel
from pyramid_debugtoolbar.toolbar import IRequestAuthorization
from pyramid_debugtoolbar.utils import dictrepr

HIDDEN: Final = "(hidden)"
SECRET_NAME: Final = re.compile("cookie|authorization|csrf|password|secret|token", re.IGNORECASE)
COOKIE_NAME: Final = re.compile(r"(?:^|;)\s*([^=;]*)")
URL_PASSWORD: Final = re.compile(r"(://[^:/@\s]*:)[^@\s]*(?=@)")


def hide(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return the pairs of name and value. Values whose names sound secret are hidden."""
    return [(name, HIDDEN if SECRET_NAME.search(str(name)) else value) for name, value in pairs]


class Headers(HeaderDebugPanel):
    """The headers of the request and of the response, without secrets."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.request_headers: list[tuple[str, Any]] = hide(sorted(request.headers.items()))

    def process_response_deferred(self) -> None:
        super().process_response_deferred()
        self.data["response_headers"] = hide(self.data.get("response_headers", []))


class RequestVars(RequestVarsDebugPanel):
    """The request's query, its environment, the names of its cookies, and the size of its body."""

    def __init__(self, request: Any) -> None:
        # The toolbar's own method is not called: it reads body and query, and fails if they are not text.
        self.request = request
        self.data.update(
            get=[("query string", [request.query_string])],
            post=None,
            post_body_info={"size": request.content_length or 0, "preview_bytes": None},
            cookies=[(name, HIDDEN) for name in COOKIE_NAME.findall(request.environ.get("HTTP_COOKIE", ""))],
            environ=hide(dictrepr(request.environ)),
            extracted_attributes={},
            attrs=[],
        )

    def process_response(self, response: Any) -> None:
        names = ("matchdict", "context", "traversed", "view_name", "subpath")
        self.data["extracted_attributes"] = {name: getattr(self.request, name, None) for name in names}
        # The toolbar is kept for later requests. The request should be freed.
        del self.request


class Renderings(RenderingsDebugPanel):
    """The names of the renderers used, without their values, which may contain a CSRF token."""

    renderings: Sequence[dict[str, Any]] = ()

    def process_beforerender(self, event: Any) -> None:
        name = event["renderer_info"].name
        if not name.startswith("pyramid_debugtoolbar"):
            self.renderings = [*self.renderings, {"name": name, "system": [], "val": HIDDEN}]


class SettingsWithoutSecrets(SettingsDebugPanel):
    """The settings of the application, without secrets."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        shown = [(name, URL_PASSWORD.sub(rf"\1{HIDDEN}", value)) for name, value in self.data["settings"]]
        self.data["settings"] = hide(shown)


def has_readable_cookies(request: Any) -> bool:
    """Return whether the toolbar can read the request's cookies. Cookies of other sites may be undecodable."""
    try:
        request.cookies.get("pdtb_active")
    except UnicodeDecodeError:
        return False
    return True


def includeme(config: Any) -> None:
    """Replace the toolbar's panels of the same names. ``config`` belongs to the toolbar's own application."""
    # Requests whose cookies the toolbar cannot read go to the application without it.
    config.registry.parent_registry.registerUtility(has_readable_cookies, IRequestAuthorization)
    for panel in (Headers, RequestVars, Renderings):
        config.add_debugtoolbar_panel(panel)
    config.add_debugtoolbar_panel(SettingsWithoutSecrets, is_global=True)
