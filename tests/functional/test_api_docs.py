"""The page that shows the API: whole, safe and reachable by everybody."""

import gzip
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest
from webob.request import BaseRequest

from tenantapp.api.openapi.markup import element, prose
from tests.installation import Client

EMPTY = ("meta", "link", "input")


class Page(HTMLParser):
    """What is in a page: its ids, its links, its attributes and its text. Fails if elements are not nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.elements: Counter[str] = Counter()
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        self.elements[tag] += 1
        self.attributes |= set(given)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("href", "src") if name in given]
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def page(client: Client) -> Page:
    return Page(client.http.get("/api/docs").text)


def test_it_shows_every_call_and_every_model(client: Client, page: Page) -> None:
    document = client.get("/openapi.json").json
    calls = [each["operationId"] for item in document["paths"].values() for each in item.values()]
    models = [f"model-{name}" for name in document["components"]["schemas"]]
    assert set(calls) | set(models) <= set(page.ids)
    assert page.elements["article"] == len(calls)
    text = "".join(page.texts)
    for item in document["paths"].values():
        for operation in item.values():
            assert operation["summary"].replace("`", "") in text
    assert (
        page.elements["pre"] == sum("examples" in schema for schema in document["components"]["schemas"].values()) > 10
    )


def test_every_link_leads_somewhere(client: Client, page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    for link in set(page.links):
        if link.startswith("#"):
            assert link.removeprefix("#") in page.ids
        else:
            assert client.http.get(link).status_int == 200


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(client: Client, page: Page) -> None:
    answer = client.http.get("/api/docs")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self';")
    assert "unsafe" not in policy
    assert not {name for name in page.attributes if name == "style" or name.startswith("on")}
    assert (page.elements["style"], page.elements["script"]) == (0, 1)
    style = client.http.get("/api/docs.css").text
    assert not re.search(r"@import|url\(", style)


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/api/docs", "text/html"), ("/api/docs.css", "text/css"), ("/api/docs.js", "text/javascript")],
)
def test_caches_may_keep_it(client: Client, path: str, content_type: str) -> None:
    answer = client.http.get(path)
    assert (answer.content_type, answer.charset) == (content_type, "utf-8")
    assert answer.cache_control.max_age == 300
    assert client.http.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_int == 304


@pytest.mark.parametrize("path", ["/api/v1/openapi.json", "/api/docs"])
def test_it_is_compressed_for_those_who_accept_that(client: Client, path: str) -> None:
    def ask(**headers: str) -> Any:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return BaseRequest.blank(path, headers=sent).get_response(client.http.app)

    plain, zipped = ask(), ask(Accept_Encoding="gzip, br")
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) < len(plain.body) / 8
    assert (zipped.headers["Content-Encoding"], zipped.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert zipped.etag != plain.etag
    assert ask(Accept_Encoding="gzip", If_None_Match=f'"{zipped.etag}"').status_int == 304
    for refusing in ("gzip;q=0", "identity", "not, (a list"):
        assert ask(Accept_Encoding=refusing).body == plain.body


def test_text_is_escaped() -> None:
    assert element("p", "<b>", class_='"x"') == '<p class="&quot;x&quot;">&lt;b&gt;</p>'
    assert prose("a `<code>` & b") == "a <code>&lt;code&gt;</code> &amp; b"


def test_every_table_has_a_caption_and_every_field_a_label(page: Page) -> None:
    assert page.elements["caption"] == page.elements["table"] > 100
    assert page.elements["label"] == page.elements["input"] == 1
    assert (page.elements["main"], page.elements["h1"]) == (1, 1)
