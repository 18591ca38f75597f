"""A bare Pyramid JSON view: what the framework itself costs. No database; the answer is as long as a session's."""

import logging
import sys
from typing import Any

import waitress
from pyramid.config import Configurator

ANSWER = {
    "user": {"id": "01993c1e-0000-7000-8000-000000000000", "login": "member@example.org", "name": "Member"},
    "tenant": {"slug": "acme", "name": "Acme"},
    "roles": ["editor"],
    "permissions": ["content.create", "content.edit_any", "content.read"],
    "tenants": [{"slug": "acme", "name": "Acme", "roles": ["editor"]}],
    "csrf_token": "0" * 43,
    "expires_at": "2026-01-01T00:00:00+00:00",
}


def session(request: Any) -> dict[str, Any]:
    """The answer of ``GET /session``, without finding out."""
    return ANSWER


def make_app() -> Any:
    """One route, one view."""
    with Configurator() as config:
        config.add_route("session", "/session")
        config.add_view(session, route_name="session", renderer="json", request_method="GET")
        return config.make_wsgi_app()


if __name__ == "__main__":
    # With more clients than threads waitress would log every request that waits.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    waitress.serve(make_app(), host="127.0.0.1", port=int(sys.argv[1]), threads=4)
