"""The debug toolbar's panels, without what would let somebody in.

The toolbar keeps the last hundred requests and shows them to everybody at the machine. ``main()`` puts this module into
``debugtoolbar.includes``; it is imported only where the toolbar is used.
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
    """The pairs of name and value, with the values hidden whose names say that they are secret."""
    return [(name, HIDDEN if SECRET_NAME.search(str(name)) else value) for name, value in pairs]


class Headers(HeaderDebugPanel):
    """Headers of the request and of the response."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.request_headers: list[tuple[str, Any]] = hide(sorted(request.headers.items()))

    def process_response_deferred(self) -> None:
        super().process_response_deferred()
        self.data["response_headers"] = hide(self.data.get("response_headers", []))


class RequestVars(RequestVarsDebugPanel):
    """Query, names of cookies and environment of the request, whatever is in them; of its body the size."""

    def __init__(self, request: Any) -> None:
        # Not that of the toolbar, which reads body and query, and fails over what is not text.
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
        # The toolbar is kept; the request need not be.
        del self.request


class Renderings(RenderingsDebugPanel):
    """Which renderers were used; what they were given may be a session with its CSRF token."""

    renderings: Sequence[dict[str, Any]] = ()

    def process_beforerender(self, event: Any) -> None:
        name = event["renderer_info"].name
        if not name.startswith("pyramid_debugtoolbar"):
            self.renderings = [*self.renderings, {"name": name, "system": [], "val": HIDDEN}]


class SettingsWithoutSecrets(SettingsDebugPanel):
    """The settings of the application."""

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        shown = [(name, URL_PASSWORD.sub(rf"\1{HIDDEN}", value)) for name, value in self.data["settings"]]
        self.data["settings"] = hide(shown)


def has_readable_cookies(request: Any) -> bool:
    """Whether the toolbar, which has a cookie of its own, can read the request's. Other sites' may be anything."""
    try:
        request.cookies.get("pdtb_active")
    except UnicodeDecodeError:
        return False
    return True


def includeme(config: Any) -> None:
    """Put the panels in place of those of the same names. The configurator is that of the toolbar's own application."""
    # A request that the toolbar fails over goes to the application without it.
    config.registry.parent_registry.registerUtility(has_readable_cookies, IRequestAuthorization)
    for panel in (Headers, RequestVars, Renderings):
        config.add_debugtoolbar_panel(panel)
    config.add_debugtoolbar_panel(SettingsWithoutSecrets, is_global=True)
