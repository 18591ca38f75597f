"""A view without a permission does not start."""

from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.security import NO_PERMISSION_REQUIRED

from tenantapp.api.views import api_view
from tenantapp.settings import read_settings


@pytest.fixture
def config(tmp_path: Path) -> Any:
    """A configurator with the rooms that guard views."""
    settings = {
        "user_db.url": f"sqlite+pysqlite:///{tmp_path}/user.sqlite",
        "servers.main": f"sqlite+pysqlite:///{tmp_path}/tenants/",
    }
    config = Configurator(settings=settings)
    config.registry.app_settings = read_settings(settings, {})
    config.include("tenantapp.tenancy")
    config.include("tenantapp.identity")
    config.add_route("mine", "/mine")
    return config


def view(request: Any) -> dict[str, str]:
    return {}


def test_a_forgotten_permission_ends_start_up(config: Any) -> None:
    config.add_view(view, route_name="mine", renderer="json")
    with pytest.raises(ConfigurationError, match=r"\.view of route mine has no permission"):
        config.make_wsgi_app()


@pytest.mark.parametrize("permission", ["content.read", NO_PERMISSION_REQUIRED])
def test_a_stated_permission_starts(config: Any, permission: str) -> None:
    config.add_view(view, route_name="mine", renderer="json", permission=permission)
    config.make_wsgi_app()


def test_a_default_permission_counts(config: Any) -> None:
    config.set_default_permission("content.read")
    config.add_view(view, route_name="mine", renderer="json")
    config.make_wsgi_app()


def test_the_decorator_has_no_default() -> None:
    with pytest.raises(TypeError, match="permission"):
        api_view("mine", "GET", answer=None)  # type: ignore[call-arg]


def test_a_view_says_what_it_answers() -> None:
    with pytest.raises(TypeError, match="GET mine has no answer"):
        api_view("mine", "GET", permission="content.read")  # type: ignore[call-arg]
