"""The spans of requests, as a collector gets them."""

import atexit
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from opentelemetry import context as contexts
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tenantapp.sql.waits import watched
from tenantapp.tracing.exporting import SELDOM, Seldom, batches_to
from tenantapp.tracing.requests import LEFT_OUT, MOST_WAITS, Tracing
from tests.installation import Client, Installation
from tests.transactions.applications import access_to

NOWHERE = "http://127.0.0.1:9"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def traced(make_installation: Callable[..., AbstractContextManager[Installation]]) -> Iterator[Any]:
    """An installation that is traced, and what has its spans."""
    exporter = InMemorySpanExporter()
    with make_installation(**{"opentelemetry.endpoint": NOWHERE, "opentelemetry.sample": "1"}) as installation:
        installation.registry.tracing.make_processor = lambda: SimpleSpanProcessor(exporter)
        yield installation, exporter


@pytest.fixture
def installation(traced: Any) -> Installation:
    traced[1].clear()
    return traced[0]  # type: ignore[no-any-return]


@pytest.fixture
def spans(traced: Any) -> Callable[[], list[ReadableSpan]]:
    """The spans since this was last called."""

    def take() -> list[ReadableSpan]:
        found = list(traced[1].get_finished_spans())
        traced[1].clear()
        return found

    return take


Take = Callable[[], list[ReadableSpan]]


def of_request(found: list[ReadableSpan]) -> ReadableSpan:
    (span,) = [each for each in found if each.kind == SpanKind.SERVER]
    return span


def test_a_request_and_what_it_waits_for_are_spans(installation: Installation, spans: Take) -> None:
    ada = Client(installation.app).sign_in("ada", "acme")
    engine = installation.registry.user_db.engine.dialect.name
    node = ada.post("/nodes", {"title": "Flenders"}, status=201).json["id"]
    spans()
    ada.get("/nodes?x=Flenders", status=400)
    refused = of_request(spans())
    ada.get(f"/nodes/{node}", status=200)
    ada.post("/nodes", {"title": "Flenders"}, status=201)
    found = spans()
    (get, post) = [each for each in found if each.kind == SpanKind.SERVER]
    assert (get.name, post.name) == ("GET /api/v1/nodes/{id}", "POST /api/v1/nodes")
    tenant = str(access_to(installation, "acme").require_tenant().id)
    assert dict(post.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/api/v1/nodes",
        "http.response.status_code": 201,
        "url.scheme": "http",
        "tenantapp.tenant.id": tenant,
        "tenantapp.request.id": (post.attributes or {})["tenantapp.request.id"],
    }
    waits = [each for each in found if each.parent is not None and each.parent.span_id == post.context.span_id]
    names = [each.name for each in waits]
    assert names[-1] == "COMMIT"
    assert {"SELECT", "INSERT"} <= set(names)
    (insert,) = [each for each in waits if str(each.attributes["db.query.text"]).startswith("INSERT INTO nodes ")]
    assert insert.kind == SpanKind.CLIENT
    assert (insert.attributes["db.system.name"], insert.attributes["tenantapp.database"]) == (engine, "tenants")
    assert all(post.start_time <= each.start_time <= each.end_time <= post.end_time for each in waits)
    assert "Flenders" not in repr([each.to_json() for each in (*found, refused)])
    assert contexts.get_current() == {}, "the next request of the thread begins anew"


def test_a_domain_adds_spans_of_its_own(installation: Installation, spans: Take) -> None:
    tracing = installation.registry.tracing
    Client(installation.app).get("/session")
    spans()
    finish = tracing.begin({"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http"})
    with tracing.provider.get_tracer("shop").start_as_current_span("price"):
        pass
    finish(None)
    price, request = spans()
    assert (price.name, price.parent.span_id) == ("price", request.context.span_id)


def test_what_fails_is_said(installation: Installation, spans: Take) -> None:
    registry = installation.registry
    Client(installation.app).get("/nodes", status=401)
    spans()
    environ = {"REQUEST_METHOD": "BREW", "wsgi.url_scheme": "http"}
    with registry.bulkhead.request():
        finish = registry.tracing.begin(environ)
        with pytest.raises(DBAPIError), registry.user_db.begin(read_only=True) as session:
            session.execute(text("SELECT nothing FROM nowhere"))
        finish(None)
    found = spans()
    (failed,) = [each for each in found if each.status.status_code == StatusCode.ERROR]
    request = of_request(found)
    assert request.attributes["tenantapp.unanswered"] is True
    assert (request.name, request.attributes["http.request.method"]) == ("HTTP", "_OTHER")
    postgres = registry.user_db.engine.dialect.name == "postgresql"
    assert failed.attributes["error.type"] == ("UndefinedTable" if postgres else "OperationalError")
    assert failed.attributes.get("db.response.status_code") == ("42P01" if postgres else None)
    Client(installation.app).get("/nodes", status=401)
    refused = of_request(spans())
    assert (refused.status.status_code, refused.attributes["http.response.status_code"]) == (StatusCode.UNSET, 401)


def test_a_request_follows_the_trace_of_the_proxy(installation: Installation, spans: Take) -> None:
    stranger = Client(installation.app)
    stranger.get("/session", traceparent=f"00-{TRACE}-{PARENT}-01")
    request = of_request(spans())
    assert (f"{request.context.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE, PARENT)
    stranger.get("/session", traceparent=f"00-{TRACE}-{PARENT}-00")
    assert spans() == [], "the proxy does not trace it"
    for wrong in ("", "00-0-0-01", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01", "x" * 10_000):
        stranger.get("/session", traceparent=wrong)
        request = of_request(spans())
        assert request.parent is None
        assert f"{request.context.trace_id:032x}" != TRACE


def begun(sample: float) -> tuple[Tracing, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing = Tracing(sample, lambda: SimpleSpanProcessor(exporter))
    assert tracing.begin({})(None) is None, "it does not serve yet"
    tracing.start()
    return tracing, exporter


def test_only_a_part_is_traced() -> None:
    tracing, exporter = begun(0)
    environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "https"}
    tracing.begin(environ)(None)
    assert exporter.get_finished_spans() == ()
    tracing.begin(environ | {"HTTP_TRACEPARENT": f"00-{TRACE}-{PARENT}-01"})(None)
    assert [span.name for span in exporter.get_finished_spans()] == ["GET"]


def test_a_request_has_only_so_many_spans(installation: Installation) -> None:
    tracing, exporter = begun(1)
    bulkhead = installation.registry.bulkhead
    connection = installation.registry.user_db.engine.raw_connection()
    with bulkhead.request():
        finish = tracing.begin({"REQUEST_METHOD": "GET", "wsgi.url_scheme": "https"})
        for _ in range(MOST_WAITS + 3):
            watched(connection.dbapi_connection, lambda: None, statement="SELECT 1")
        finish(None)
    connection.close()
    *waits, request = exporter.get_finished_spans()
    assert len(waits) == MOST_WAITS
    assert request.attributes[LEFT_OUT] == 3


def test_a_collector_that_is_down_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    tracing = Tracing(1, lambda: batches_to(NOWHERE))
    tracing.start()
    atexit.unregister(tracing.finish)
    for _ in range(3000):  # more than the processor keeps
        tracing.begin({"REQUEST_METHOD": "GET", "wsgi.url_scheme": "https"})(None)
    dropped = [record for record in caplog.records if "dropping" in record.getMessage()]
    assert len(dropped) == 1, "the log says it once"
    record = logging.LogRecord("x", logging.ERROR, "", 0, "again", None, None)
    seldom = Seldom()
    assert [seldom.filter(record), seldom.filter(record)] == [True, False]
    seldom._logged["again"] -= SELDOM
    assert seldom.filter(record)
