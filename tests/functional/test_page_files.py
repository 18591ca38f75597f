"""The built page is served from its directory, compressed if the browser wants that, and kept as long as is right."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from webob.request import BaseRequest
from webtest import TestApp

from tenantapp import main
from tests.installation import Installation

INDEX = b"<!doctype html><title>The page</title>" + b" " * 1000
SCRIPT = b"console.log('The page')" + b" " * 1000
ASSET = "/assets/main-Xy12_ab-.js"


@pytest.fixture(scope="module")
def page(shared_on_sqlite: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestApp]:
    """The application with a small page."""
    directory = tmp_path_factory.mktemp("page")
    (directory / "assets").mkdir()
    for path, content in ((directory / "index.html", INDEX), (directory / ASSET[1:], SCRIPT)):
        path.write_bytes(content)
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
        path.with_name(f"{path.name}.br").write_bytes(b"brotli of " + content[:20])
    (directory / "assets" / "main-Xy12_ab-.js.map").write_text("{}")
    app = main({}, **shared_on_sqlite.settings | {"web.directory": str(directory)})
    yield TestApp(app)
    for database in (app.registry.user_db, app.registry.access_reader.database, app.registry.tenant_dbs):
        database.dispose()


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/account", "/w/acme", "/w/acme/nodes", "/w/acme/nodes/new", "/w/nobody/knows"),
        *("/operator", "/operator/tenants", "/operator/tenants/acme", "/links/invitation"),
    ],
)
def test_each_address_of_the_page_answers_the_document_and_no_cache_keeps_it(page: TestApp, path: str) -> None:
    answer = page.get(path)
    assert answer.body == INDEX
    assert (answer.content_type, answer.charset) == ("text/html", "utf-8")
    assert answer.headers["Cache-Control"] == "no-store"


def test_assets_are_kept_for_ever(page: TestApp) -> None:
    answer = page.get(ASSET)
    assert (answer.body, answer.content_type) == (SCRIPT, "text/javascript")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert page.head(ASSET).content_length == len(SCRIPT)


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        (None, None),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("br;q=0.1, gzip", "gzip"),
        ("br;q=0", None),
        ("identity", None),
        ("*;q=0", None),
        ("not, (a list", None),
    ],
)
def test_browsers_get_the_best_encoding_that_they_accept(
    page: TestApp, accepted: str | None, encoding: str | None
) -> None:
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    answer = BaseRequest.blank(ASSET, headers=headers).get_response(page.app)  # WebTest decodes, and not brotli
    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.content_length == len({None: SCRIPT, "gzip": gzip.compress(SCRIPT), "br": b"b" * 30}[encoding])


@pytest.mark.parametrize(
    "path",
    [
        "/assets/other.js",
        "/assets/",
        "/assets/main-Xy12_ab-.js.gz",
        "/assets/main-Xy12_ab-.js.map",
        "/assets/..%2Findex.html",
        "/assets/%2Fetc%2Fpasswd",
        "/index.html",
        "/w",
        "/nowhere",
        "/account/",
    ],
)
def test_nothing_else_is_there(page: TestApp, path: str) -> None:
    answer = page.get(path, expect_errors=True)
    assert (answer.status_int, answer.content_type) == (404, "application/problem+json")


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


def test_a_browser_at_an_address_that_nothing_has_gets_the_page(page: TestApp) -> None:
    for path in ("/nowhere", "/account/", "/index.html", "/w", "/operators/of/it", "/apiary"):
        answer = page.get(path, headers={"Accept": BROWSER}, status=404)
        assert (answer.body, answer.headers["Cache-Control"]) == (INDEX, "no-store"), path
        assert "Content-Security-Policy" in answer.headers
    assert page.head("/nowhere", headers={"Accept": BROWSER}, status=404).content_type == "text/html"


@pytest.mark.parametrize(
    ("method", "path", "accept"),
    [
        *[
            ("GET", path, BROWSER)
            for path in ("/api", "/api/v1/nowhere", "/api/v2", "/assets/other.js", "/components/x/y.js")
        ],
        *[
            ("GET", "/nowhere", accept)
            for accept in ("*/*", "application/json", "application/json, text/html", "nonsense")
        ],
        ("POST", "/nowhere", BROWSER),
        ("DELETE", "/w/acme", BROWSER),
    ],
)
def test_everybody_else_gets_a_problem(page: TestApp, method: str, path: str, accept: str) -> None:
    answer = page.request(path, method=method, headers={"Accept": accept}, expect_errors=True)
    assert answer.status_int in (401, 404, 405)
    assert answer.content_type == "application/problem+json"


def test_without_a_page_the_api_says_where_it_is(shared_on_sqlite: Installation) -> None:
    app = TestApp(shared_on_sqlite.app)
    assert app.get("/").json["api"].endswith("/api/v1")
    for path in ("/account", "/w/acme", ASSET, "/nowhere"):
        assert app.get(path, headers={"Accept": BROWSER}, expect_errors=True).json["code"] == "not_found"


def test_a_directory_without_a_page_is_no_page(shared_on_sqlite: Installation, tmp_path: Path) -> None:
    settings: dict[str, Any] = shared_on_sqlite.settings | {"web.directory": str(tmp_path)}
    assert main({}, **settings).registry.page is None
