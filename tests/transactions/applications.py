"""Applications with further views, and what is in their databases."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pyramid.config import Configurator
from sqlalchemy import select

from tenantapp import main
from tenantapp.api.views import add_api_view
from tenantapp.identity.local_access import local_access
from tenantapp.tenancy.access import Access
from tenantapp.workspace.models import Node
from tests.installation import Installation

View = Callable[[Any], Any]


@contextmanager
def extra(includeme: Callable[[Any], None]) -> Iterator[None]:
    """Include this in the applications made in this block."""
    original = Configurator.make_wsgi_app

    def make(config: Any) -> Any:
        config.include(includeme)
        return original(config)

    patch = pytest.MonkeyPatch()
    patch.setattr(Configurator, "make_wsgi_app", make)
    yield
    patch.undo()


@contextmanager
def extra_views(**views: View) -> Iterator[None]:
    """Add views to the applications made in this block: ``name=view`` answers ``POST /api/v1/x/name`` and ``GET``."""

    def includeme(config: Any) -> None:
        for name, view in views.items():
            config.add_route(f"x_{name}", f"/api/v1/x/{name}")
            for method in ("GET", "POST"):
                config.add_view(
                    view, route_name=f"x_{name}", request_method=method, permission="content.create", renderer="json"
                )

    with extra(includeme):
        yield


def app_with(installation: Installation, **views: View) -> Any:
    """The application with further views, on the same databases and pools."""
    with extra_views(**views):
        return _app(installation)


def app_with_api_views(installation: Installation, **views: View) -> Any:
    """The application with further views of the API: ``name=view`` answers ``POST /api/v1/x/name``."""

    # Pyramid includes a function once by its name.
    def include_api_views(config: Any) -> None:
        for name, view in views.items():
            config.add_route(f"x_{name}", f"/api/v1/x/{name}")
            add_api_view(config, view, f"x_{name}", "POST", permission="content.create", answer=dict[str, Any])

    with extra(include_api_views):
        return _app(installation)


def _app(installation: Installation) -> Any:
    app = main({}, **installation.settings)
    app.registry.user_db.dispose()  # it was asked for the tenants at start-up
    for name in ("user_db", "tenant_dbs", "access_reader"):
        setattr(app.registry, name, getattr(installation.registry, name))
    return app


def access_to(installation: Installation, slug: str) -> Access:
    with installation.registry.user_db.begin(read_only=True) as session:
        return local_access(session, slug)


def node_titles(installation: Installation, slug: str = "acme") -> list[str]:
    with installation.registry.tenant_dbs.begin(access_to(installation, slug), read_only=True) as session:
        return list(session.scalars(select(Node.title).order_by(Node.id)))
