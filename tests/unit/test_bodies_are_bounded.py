"""No view reads more of a body than it is meant to, a plain Pyramid view as little as one of the API."""

import io
from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.security import NO_PERMISSION_REQUIRED
from webob.request import BaseRequest

from tenantapp.settings import read_settings

LIMIT = 2000


def echo(request: Any) -> dict[str, int]:
    return {"length": len(request.body)}


@pytest.fixture
def app(tmp_path: Path) -> Any:
    """An application with a plain view, and with plain views that declare bounds of their own."""
    settings = {
        "user_db.url": f"sqlite+pysqlite:///{tmp_path}/user.sqlite",
        "servers.main": f"sqlite+pysqlite:///{tmp_path}/tenants/",
        "api.max_body": str(LIMIT),
    }
    config = Configurator(settings=settings)
    config.registry.app_settings = read_settings(settings, {})
    for room in ("tenancy", "identity", "api"):
        config.include(f"tenantapp.{room}")
    for name, bound in (("plain", {}), ("larger", {"max_body": 3 * LIMIT}), ("none", {"max_body": 0})):
        config.add_route(name, f"/{name}")
        config.add_view(echo, route_name=name, renderer="json", permission=NO_PERMISSION_REQUIRED, **bound)
    return config.make_wsgi_app()


def post(app: Any, path: str, length: int, *, announced: bool) -> Any:
    environ = {"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(b"x" * length)}
    environ |= {"CONTENT_LENGTH": str(length)} if announced else {"wsgi.input_terminated": True}
    return BaseRequest.blank(path, environ).get_response(app)


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
@pytest.mark.parametrize(("path", "limit"), [("/plain", LIMIT), ("/larger", 3 * LIMIT), ("/none", 0)])
def test_a_body_is_read_up_to_the_bound_of_its_view(app: Any, path: str, limit: int, announced: bool) -> None:
    answer = post(app, path, limit, announced=announced)
    assert (answer.status_int, answer.json) == (200, {"length": limit})
    answer = post(app, path, limit + 1, announced=announced)
    assert (answer.status_int, answer.content_type) == (413, "application/problem+json")
    assert answer.json["code"] == "body_too_large"
    assert str(limit) in answer.json["detail"]


def test_a_chunked_body_is_not_copied_before_it_is_bounded(app: Any) -> None:
    """A request that may be tried again has its body copied; this one would never end."""

    class Endless:
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += size
            assert size > 0
            assert self.taken < 1_000_000
            return b"x" * size

    environ = {"REQUEST_METHOD": "POST", "wsgi.input": Endless(), "wsgi.input_terminated": True}
    assert BaseRequest.blank("/plain", environ).get_response(app).status_int == 413
