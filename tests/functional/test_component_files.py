"""The module of a builder's component and the files beside it are served from their package, and nothing else is."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from webtest import TestApp

from tenantapp.content import Content
from tenantapp.databases.histories.histories import bundled
from tenantapp.resources import Display, Resource
from tests.functional.conftest import INI
from tests.installation import Installation
from tests.shop import Supplier, app_including

SHELF = "export default class Shelf extends HTMLElement {}\n"
BOOKSHOP = Path(__file__).parents[2] / "examples" / "bookshop"
HERE = "/components/stall/page"
MODULE = f"{HERE}/shelf.js"
FILES = {
    "page/shelf.js": SHELF,
    "page/parts/card.mjs": "export const card = 1;\n",
    "page/shelf.css": "stall-shelf { display: block }\n",
    "page/sign.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>\n",
    "page/words.json": "{}\n",
    "page/secret.py": "PASSWORD = 1\n",
    "page/.hidden.js": "hidden\n",
    "page/notes": "no suffix\n",
    "models.js": "not in the directory\n",
    "private/shelf.js": "another directory\n",
    "page-more/shelf.js": "a directory whose name begins as ours\n",
    "__init__.py": "",
}


@pytest.fixture(scope="module")
def stall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of a package with a component."""
    directory = tmp_path_factory.mktemp("builder")
    for name, content in FILES.items():
        (directory / "stall" / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / "stall" / name).write_text(content)
    (directory / "stall" / "page" / "link.js").symlink_to(directory / "stall" / "models.js")
    (directory / "stall" / "page" / "circle.js").symlink_to("circle.js")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(directory))
        yield directory / "stall"


SLIPPED = """
from tenantapp.content import Content
from tenantapp.resources import Display, Resource
from tests.shop import Supplier

class SupplierIn(Content):
    name: str

def includeme(config):
    display = Display(component="stall:page/shelve.js")
    config.add_resource(
        Resource("suppliers", Supplier, body=SupplierIn, read="content.read", write="content.create", display=display)
    )
"""


class SupplierIn(Content):
    name: str


def suppliers_with(component: str) -> Resource[Supplier]:
    display = Display(component=component)
    return Resource(
        "suppliers", Supplier, body=SupplierIn, read="content.read", write="content.create", display=display
    )


def with_component(installation: Installation, spec: str) -> Any:
    return app_including(installation, lambda config: config.add_resource(suppliers_with(spec)))


@pytest.fixture(scope="module")
def page(shared_on_sqlite: Installation, stall: Path) -> TestApp:
    return TestApp(with_component(shared_on_sqlite, "stall:page/shelf.js"))


def test_the_document_names_the_address_of_the_module(page: TestApp) -> None:
    tags = page.get("/api/v1/openapi.json").json["tags"]
    found = {tag["name"]: tag["x-resource"]["component"] for tag in tags if "x-resource" in tag}
    assert found == {"suppliers": MODULE, "nodes": None, "tags": None, "comments": None, "attachments": None}


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("shelf.js", "text/javascript; charset=utf-8"),
        ("parts/card.mjs", "text/javascript; charset=utf-8"),
        ("shelf.css", "text/css; charset=utf-8"),
        ("sign.svg", "image/svg+xml"),
        ("words.json", "application/json"),
    ],
)
def test_each_file_has_its_media_type_and_the_headers_of_the_page(page: TestApp, name: str, media_type: str) -> None:
    answer = page.get(f"{HERE}/{name}")
    assert answer.text == FILES[f"page/{name}"]
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'; ")


def test_a_browser_that_has_the_file_is_not_sent_it_again(page: TestApp, stall: Path) -> None:
    tag = page.get(MODULE).headers["ETag"]
    again = page.get(MODULE, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_int, again.body, again.headers["ETag"]) == (304, b"", tag)
    assert again.headers["Cache-Control"] == "no-cache"
    (stall / "page" / "shelf.js").write_text(SHELF + "// changed\n")
    changed = page.get(MODULE, headers={"If-None-Match": tag})
    assert changed.text.endswith("// changed\n")
    (stall / "page" / "shelf.js").write_text(SHELF)


def test_it_can_only_be_read(page: TestApp) -> None:
    head = page.head(MODULE)
    assert (head.body, head.content_length, head.headers["ETag"]) == (b"", len(SHELF), page.get(MODULE).headers["ETag"])
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert page.request(MODULE, method=method, expect_errors=True).status_int == 405


@pytest.mark.parametrize(
    "path",
    [
        f"{HERE}/other.js",
        f"{HERE}/",
        HERE,
        "/components/stall/shelf.js",
        "/components/stall",
        "/components/",
        "/components",
        f"{HERE}/parts",
        f"{HERE}/secret.py",
        f"{HERE}/.hidden.js",
        f"{HERE}/notes",
        f"{HERE}/link.js",
        f"{HERE}/circle.js",
        f"{HERE}/{300 * 'n'}.js",
        f"{HERE}/../models.js",
        f"{HERE}/..%2Fmodels.js",
        f"{HERE}/%2e%2e/models.js",
        f"{HERE}/%2e%2e%5cmodels.js",
        f"{HERE}//etc/passwd",
        f"{HERE}/%2Fetc%2Fpasswd",
        f"{HERE}/shelf.js%00.css",
        f"{HERE}/shelf.js/",
        f"{HERE}/sh%c3%a9lf.js",
        "/components/stall/models.js",
        "/components/stall/private/shelf.js",
        "/components/stall/page-more/shelf.js",
        "/components/tenantapp/web/dist/index.html",
    ],
)
def test_nothing_else_is_there(page: TestApp, path: str) -> None:
    answer = page.get(path, expect_errors=True)
    assert (answer.status_int, answer.content_type) == (404, "application/problem+json"), answer.body


def test_the_wheel_of_the_example_has_its_component() -> None:
    declared = tomllib.loads((BOOKSHOP / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    files = [path for path in (BOOKSHOP / "bookshop" / "page").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"shelf.css", "shelf.js"}
    assert set(files) <= {path for pattern in declared for path in (BOOKSHOP / "bookshop").glob(f"{pattern}/*")}


def test_a_wrong_spec_ends_the_start_and_the_check_with_one_sentence(
    shared_on_sqlite: Installation,
    stall: Path,
    ini: Path,
    failed: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sentence = (
        f"The resource 'suppliers' is declared wrongly: there is no file {stall / 'page' / 'shelve.js'}, which its "
        "component stall:page/shelve.js names"
    )
    with pytest.raises(SystemExit) as raised:
        with_component(shared_on_sqlite, "stall:page/shelve.js")
    assert raised.value.code == f"tenantapp: {sentence}."
    (ini.parent / "slipped.py").write_text(SLIPPED)
    monkeypatch.syspath_prepend(str(ini.parent))
    ini.write_text(f"{INI}tenantapp.domain = slipped\nmigrations.tenant = {bundled('tenant')}\n")
    assert failed("check") == sentence
