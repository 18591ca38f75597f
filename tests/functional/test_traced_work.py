"""Work that a request leaves behind, and requests to others, as a collector of OpenTelemetry gets them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import select, update

from tenantapp.fleet.kinds import KINDS
from tenantapp.identity.local_access import local_access
from tenantapp.identity.tenants import served_tenant
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import request_operation
from tenantapp.operations.worker import Worker
from tenantapp.outgoing.addresses import Addresses
from tenantapp.outgoing.errors import RequestFailed
from tenantapp.outgoing.sending import exchange
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.models import TenantJob
from tenantapp.testing.receivers import Receiver, receiving
from tenantapp.trace_context import Work, present_traceparent, traced_work
from tenantapp.tracing.commands import LateTracing
from tenantapp.tracing.exporting import batches_to
from tenantapp.tracing.process import ProcessTracing
from tenantapp.work.inline import run_due_jobs
from tenantapp.work.models import TenantVisit
from tenantapp.work.visits import note_after_commit, note_visit
from tests.collectors import Received, collector
from tests.functional.conftest import Command
from tests.functional.operators import add_operator
from tests.installation import Client, Installation

WHY = "the shelf of Flenders is empty"
ANYWHERE = Addresses(allow_http=True, allow_private=True)
NOTED: list[Any] = []
MALFORMED: tuple[Any, ...] = (
    *("", "x" * 55, f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'0' * 16}-01", f"00-{'A' * 32}-{'1' * 16}-01"),
    *(f"ff-{'1' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'1' * 16}-01\n", [f"00-{'1' * 32}-{'1' * 16}-01"], 7, {}),
)


@dataclass
class Traced:
    """An installation that is traced, what has its spans, and a receiver of webhooks."""

    installation: Installation
    received: Received
    receiver: Receiver

    def spans(self) -> list[Any]:
        """The spans since this was last called."""
        self.installation.registry.tracing.provider.force_flush()
        found, self.received.spans[:] = [span for _, span in self.received.spans], []
        return found

    def named(self, *names: str) -> list[Any]:
        """The spans since the last time with these names, one of each."""
        found = self.spans()
        return [next(span for span in found if span.name == name) for name in names]

    @contextmanager
    def request(self) -> Iterator[None]:
        """Let the block be a request."""
        finish = self.installation.registry.tracing.begin({"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http"})
        yield
        finish(None)

    def enqueue(self, name: str, **arguments: Any) -> None:
        registry = self.installation.registry
        with registry.user_db.begin(read_only=True) as session:
            access = local_access(session, "acme")
        with registry.tenant_dbs.begin(access) as session:
            registry.enqueue(session, access, name, arguments)

    def in_tenant(self, *statements: Any) -> list[Any]:
        """Execute statements in the database of acme, and return the rows of the last."""
        registry = self.installation.registry
        with registry.user_db.begin(read_only=True) as session:
            access = local_access(session, "acme")
        with registry.tenant_dbs.begin(access) as session:
            results = [session.execute(statement) for statement in statements]
            return list(results[-1]) if results[-1].returns_rows else []


@pytest.fixture(scope="module")
def made(make_installation: Any) -> Iterator[Traced]:
    with collector() as (endpoint, received), receiving() as receiver:
        settings = {
            "opentelemetry.endpoint": endpoint,
            "opentelemetry.sample": "1",
            "webhooks.allow_http": "true",
            "webhooks.allow_private": "true",
            "mail.url": "smtp://localhost",
            "mail.from": "shop@example.com",
        }
        with make_installation(**settings) as installation:
            registry = installation.registry
            registry.jobs.declare("fail", failing, retries=0)
            registry.jobs.declare("note", lambda job: NOTED.append(job.arguments), kept=False)
            yield Traced(installation, received, receiver)
            registry.tracing.finish()


def failing(job: Any) -> None:
    raise LookupError(WHY)


@pytest.fixture
def traced(made: Traced) -> Traced:
    Client(made.installation.app).get("/session")  # the first request starts it
    run_due_jobs(made.installation.registry)
    made.spans()
    NOTED.clear()
    made.receiver.take()
    return made


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def causes(span: Any) -> list[tuple[bytes, bytes]]:
    """The spans that a span has links to."""
    return [(link.trace_id, link.span_id) for link in span.links]


def test_a_webhook_delivery_leads_to_the_request(traced: Traced) -> None:
    ada = Client(traced.installation.app).sign_in("ada", "acme")
    webhook = {"name": "Search", "url": traced.receiver.url, "resources": ["nodes"]}
    ada.post("/webhooks", webhook, status=201)
    run_due_jobs(traced.installation.registry)
    traced.spans()
    ada.post("/nodes", {"title": "Flenders"}, status=201)
    run_due_jobs(traced.installation.registry)
    (message,) = traced.receiver.take()
    request, job, sent = traced.named("POST /api/v1/nodes", "process jobs/webhooks.deliver", "POST")
    assert causes(job) == [(request.trace_id, request.span_id)]
    assert (job.kind, sent.kind) == (Span.SPAN_KIND_CONSUMER, Span.SPAN_KIND_CLIENT)
    assert (sent.trace_id, sent.parent_span_id) == (job.trace_id, job.span_id)
    assert message.headers["traceparent"] == f"00-{job.trace_id.hex()}-{sent.span_id.hex()}-01"
    assert not {"tracestate", "baggage"} & set(message.headers)
    assert attributes(sent) == {"http.request.method": "POST", "http.response.status_code": 204}
    said = attributes(job)
    assert said.pop("messaging.message.id")
    assert said == {
        "messaging.system": "tenantapp",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "jobs/webhooks.deliver",
        "tenantapp.tenant.id": attributes(request)["tenantapp.tenant.id"],
    }
    # The message is not taken, and what it says is tried again: that leads to the attempt before.
    traced.receiver.answers.append(500)
    ada.post("/nodes", {"title": "Flenders"}, status=201)
    run_due_jobs(traced.installation.registry)
    refused, failed = traced.named("POST", "process jobs/webhooks.deliver")
    assert attributes(refused)["error.type"] == "500"
    assert refused.status.code == Status.STATUS_CODE_ERROR
    traced.in_tenant(update(TenantJob).values(due_at=utcnow()))
    with traced.installation.registry.user_db.begin() as session:
        session.execute(update(TenantVisit).values(due_at=utcnow()))
    run_due_jobs(traced.installation.registry)
    (again,) = traced.named("process jobs/webhooks.deliver")
    assert causes(again) == [(failed.trace_id, failed.span_id)]


def test_a_mail_leads_to_the_request(traced: Traced) -> None:
    ada = Client(traced.installation.app).sign_in("ada", "acme")
    traced.spans()
    ada.post("/invitations", {"address": "ann@example.com", "role": "reader"}, status=201)
    (*_, mail) = traced.installation.deliver_mails()
    assert mail["To"] == "ann@example.com"
    request, sent = traced.named("POST /api/v1/invitations", "process mail/account")
    assert causes(sent) == [(request.trace_id, request.span_id)]
    assert (sent.kind, attributes(sent).get("tenantapp.tenant.id")) == (Span.SPAN_KIND_CONSUMER, None)
    assert "ann@example.com" not in repr((request, sent))


def test_an_operation_leads_to_the_request(traced: Traced) -> None:
    registry = traced.installation.registry
    otto = add_operator(traced.installation)
    traced.spans()
    operation = otto.post("/fleet/tenants", {"slug": "initech"}, status=202).json["id"]
    Worker(registry.fleet, KINDS).run(Event(), until_idle=True)
    request, done = traced.named("POST /api/v1/fleet/tenants", "process operations/create")
    assert causes(done) == [(request.trace_id, request.span_id)]
    assert attributes(done)["messaging.message.id"] == operation
    with registry.user_db.begin() as session:
        tenant = served_tenant(session, "initech")
        planted = request_operation(session, KINDS["hook"], tenant, {"event": "renamed", "hook": "none"}, "otto")
        planted.traceparent, tenant_id = f"00-{'1' * 32}-{'1' * 16}-0x", str(tenant.id)
    Worker(registry.fleet, KINDS).run(Event(), until_idle=True)
    (failed,) = traced.named("process operations/hook")
    assert (causes(failed), failed.status.code) == ([], Status.STATUS_CODE_ERROR)
    assert attributes(failed)["tenantapp.tenant.id"] == tenant_id


def test_a_job_that_fails_says_what_was_raised_and_not_why(traced: Traced) -> None:
    with traced.request():
        traced.enqueue("fail")
    run_due_jobs(traced.installation.registry)
    request, job = traced.named("GET", "process jobs/fail")
    assert causes(job) == [(request.trace_id, request.span_id)]
    assert attributes(job)["error.type"] == "LookupError"
    assert (job.status.code, job.status.message, list(job.events)) == (Status.STATUS_CODE_ERROR, "", [])
    assert WHY not in repr(job)


def test_a_traceparent_that_was_written_by_hand_is_ignored(traced: Traced) -> None:
    """The handler does not see it, and neither do those who manage jobs."""
    for wrong in MALFORMED:
        traced.enqueue("note", unlike=repr(wrong))
        arguments = json.dumps({"shelf": 13, "_traceparent": wrong})
        traced.in_tenant(update(TenantJob).where(TenantJob.name == "note").values(arguments=arguments))
    with traced.installation.registry.user_db.begin() as session:
        session.execute(update(TenantVisit).values(traceparent="x" * 55))
    ada = Client(traced.installation.app).sign_in("ada", "acme")
    shown = ada.get("/tenant/jobs?name=note&state=queued").json["items"]
    assert [job["arguments"] for job in shown] == [{"shelf": 13}] * len(MALFORMED)
    run_due_jobs(traced.installation.registry)
    spans = [span for span in traced.spans() if span.name == "process jobs/note"]
    assert [causes(span) for span in spans] == [[]] * len(MALFORMED)
    assert [{"shelf": 13}] * len(MALFORMED) == NOTED
    with pytest.raises(ValueError, match="no argument _traceparent"):
        traced.enqueue("note", _traceparent="mine")


def test_a_request_to_others_continues_the_trace(traced: Traced) -> None:
    """As those to identity providers, which a request waits for."""
    with traced.request():
        exchange(ANYWHERE, "POST", traced.receiver.url, b"", {}, seconds=5)
        with pytest.raises(RequestFailed):
            exchange(ANYWHERE, "POST", "http://127.0.0.1:9/hooks", b"", {}, seconds=5)
    exchange(ANYWHERE, "POST", traced.receiver.url, b"", {}, seconds=5)
    found = traced.spans()
    (request,) = [span for span in found if span.name == "GET"]
    sent, failed = [span for span in found if span.name == "POST"]
    assert sent.parent_span_id == failed.parent_span_id == request.span_id
    assert attributes(failed) == {"http.request.method": "POST", "error.type": "ConnectionRefusedError"}
    got = [message.headers.get("traceparent") for message in traced.receiver.take()]
    assert got == [f"00-{request.trace_id.hex()}-{sent.span_id.hex()}-01", None]


def test_what_traced_work_leaves_is_traced_and_of_the_rest_a_part(traced: Traced) -> None:
    exporter = InMemorySpanExporter()
    tracing = ProcessTracing(0, lambda: SimpleSpanProcessor(exporter))
    work = Work("jobs", "count", uuid7(), None, f"00-{'1' * 32}-{'2' * 16}-01")
    with traced_work(tracing, work):
        assert present_traceparent() is None, "it is not started"
    tracing.start()
    with traced_work(tracing, work):
        left = present_traceparent()
    with traced_work(tracing, work._replace(cause=left)):
        pass
    assert [len(span.links) for span in exporter.get_finished_spans()] == [1, 1]
    exporter.clear()
    with traced_work(tracing, work._replace(cause=None)):
        assert present_traceparent() is None
        exchange(ANYWHERE, "POST", traced.receiver.url, b"", {}, seconds=5)
    assert exporter.get_finished_spans() == ()
    assert "traceparent" not in traced.receiver.take()[0].headers


def test_commands_are_traced_by_the_same_settings(ini: Path, done: Command, traced: Traced) -> None:
    endpoint = traced.installation.settings["opentelemetry.endpoint"]
    ini.write_text(f"{ini.read_text()}opentelemetry.endpoint = {endpoint}\nopentelemetry.sample = 1\n")
    done("tenants", "create", "acme")
    assert [span.name for _, span in traced.received.spans] == ["process operations/create"]


def test_a_visit_has_the_first_request_that_is_traced(traced: Traced) -> None:
    registry = traced.installation.registry
    with registry.user_db.begin(read_only=True) as session:
        acme = local_access(session, "acme").require_tenant().id
    due = [utcnow() - timedelta(seconds=seconds) for seconds in (3, 2, 1)]
    note_after_commit(registry.user_db, acme, due[0])
    kept = []
    for due_at in due[1:]:
        with traced.request():
            kept.append(present_traceparent())
            note_after_commit(registry.user_db, acme, due_at)
    with registry.user_db.begin() as session:
        visit = session.get_one(TenantVisit, acme)
        assert (visit.due_at, visit.traceparent) == (due[0], kept[0])


def test_a_worker_makes_its_spans_with_what_a_domain_has(made: Traced) -> None:
    endpoint = made.installation.settings["opentelemetry.endpoint"]
    of_domain, late = ProcessTracing(1, partial(batches_to, endpoint)), LateTracing(endpoint, 1)
    late.use(of_domain)
    with late.working(Work("jobs", "price", uuid7(), None, None)):
        assert of_domain.provider is not None
        with of_domain.provider.get_tracer("shop").start_as_current_span("price"):
            pass
    late.finish()
    price, job = [span for _, span in made.received.spans][-2:]
    assert (price.name, price.parent_span_id, job.name) == ("price", job.span_id, "process jobs/price")


def test_without_the_setting_nothing_is_kept(installation: Installation) -> None:
    ada = Client(installation.app).sign_in("ada", "acme")
    ada.post("/invitations", {"address": "ann@example.com", "role": "reader"})
    add_operator(installation).post("/fleet/tenants", {"slug": "initech"})
    registry = installation.registry
    with registry.user_db.begin() as session:
        access = local_access(session, "acme")
        note_visit(session, access.require_tenant().id, utcnow())
        kept = [session.scalars(select(each.traceparent)).all() for each in (OutgoingMail, Operation, TenantVisit)]
        assert all(column and set(column) == {None} for column in kept)
    with registry.tenant_dbs.begin(access) as session:
        registry.enqueue(session, access, "webhooks.deliver", {"webhook": "none"})
        session.flush()
        assert session.scalars(select(TenantJob.arguments)).all() == ['{"webhook": "none"}']
