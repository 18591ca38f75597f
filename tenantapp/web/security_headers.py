"""Put security headers on every answer, errors and the API's included.

https://www.w3.org/TR/CSP3/, https://w3c.github.io/trusted-types/dist/spec/, OWASP ASVS 5.0 chapter 3.4.
"""

from collections.abc import Callable
from typing import Any, Final

from pyramid import tweens
from pyramid.config import Configurator

from tenantapp.tenancy.request import TenantRequest

POLICY: Final = "Content-Security-Policy"
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",  # so nothing inline, no eval, and nothing from elsewhere
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types vue dompurify tenantapp",
    )
)
DENIED: Final = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
OVER_HTTP: Final = (
    (POLICY, CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Permissions-Policy", ", ".join(f"{feature}=()" for feature in DENIED)),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
# A browser ignores this header over plain http (RFC 6797, section 8.1).
OVER_HTTPS: Final = (*OVER_HTTP, ("Strict-Transport-Security", "max-age=31536000"))
NAME: Final = "tenantapp.web.security_headers.security_headers_tween"
TOOLBAR: Final = "/_debug_toolbar"


def security_headers_tween(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Add the headers to each answer. What an answer says itself stays, such as the policy of a page of the API.

    So an answer that says nothing about caches is not kept by any (OWASP ASVS 5.0, 14.3.2).
    """
    has_toolbar = "pyramid_debugtoolbar" in str(registry.settings.get("pyramid.includes"))

    def tween(request: TenantRequest) -> Any:
        response = handler(request)
        environ = request.environ
        if has_toolbar and environ["PATH_INFO"].startswith(TOOLBAR):
            return response  # its pages have scripts in them; it is for this machine only
        headers = OVER_HTTPS if environ["wsgi.url_scheme"] == "https" else OVER_HTTP
        present = response.headerlist
        own = {name.lower() for name, _ in present}
        present.extend(header for header in headers if header[0].lower() not in own)
        return response

    return tween


def includeme(config: Configurator) -> None:
    """Add the tween as the outermost one, so that no answer is without the headers."""
    config.add_tween(
        NAME,
        under=tweens.INGRESS,
        over=(
            "tenantapp.ops.request_log.request_log_tween",
            "tenantapp.api.origins.origins_tween",
            "tenantapp.api.address.address_tween",
            tweens.EXCVIEW,
        ),
    )
