"""Webhooks of a tenant: changes that are committed arrive at a receiver, signed and in order, at least once."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update

from tenantapp.fleet.copying.private_data import _remove_people
from tenantapp.identity.audit import list_entries
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.models import ChangeCounter, TenantBase, TenantDelivery, TenantJob, TenantWebhook
from tenantapp.tenancy.recording import record_change
from tenantapp.testing.receivers import Receiver, receiving
from tenantapp.webhooks import outbox
from tenantapp.workspace.models import Node
from tests.installation import Client, Installation, StatementRecorder
from tests.jobs import Desk
from tests.receivers import is_genuine

ABSENT_ID = UUID("01900000-0000-7000-8000-00000000000a")
PUBLIC = {"name": "Search", "url": "https://example.com/hooks", "resources": ["nodes"]}


class Hooks(Desk):
    """A tenant whose administrator has webhooks, with a worker that the test lets work."""

    def __init__(self, installation: Installation, receiver: Receiver) -> None:
        registry = installation.registry
        super().__init__(Fleet(registry.user_db, registry.app_settings, registry.servers), registry.tenant_dbs)
        self.declared, self.receiver = registry.jobs, receiver
        self.ada = Client(installation.app).sign_in("ada", "acme")

    def add(self, **changes: Any) -> Any:
        answer = self.ada.post("/webhooks", {**PUBLIC, "url": self.receiver.url, **changes})
        assert answer.status_int == 201, answer.text
        return answer.json

    def write(self, *titles: str) -> list[str]:
        return [self.ada.post("/nodes", {"title": title}).json["id"] for title in titles]

    def deliveries(self, webhook: Any, **query: str) -> list[Any]:
        """The deliveries of a webhook, the oldest first."""
        asked = "".join(f"&{name}={value}" for name, value in query.items())
        items: list[Any] = self.ada.get(f"/webhooks/{webhook['id']}/deliveries?limit=500{asked}").json["items"]
        return items[::-1]

    def states(self, webhook: Any) -> list[str]:
        return [each["state"] for each in self.deliveries(webhook)]

    def make_due(self) -> None:
        """Let the pauses be over."""
        super().make_due()
        with self.databases.begin(self.access) as session:
            session.execute(update(TenantDelivery).values(due_at=utcnow()))

    def change(self, webhook: Any, **values: Any) -> None:
        with self.databases.begin(self.access) as session:
            session.execute(update(TenantWebhook).where(TenantWebhook.name == webhook["name"]).values(**values))

    def clean(self) -> None:
        with self.databases.begin(self.access) as session:
            for model in (TenantDelivery, TenantWebhook, TenantJob):
                session.execute(delete(model))


@pytest.fixture(scope="module")
def served(make_installation: Any) -> Iterator[Installation]:
    settings = {"allow_http": "true", "allow_private": "true", "timeout": "2", "attempts": "3", "most": "4"}
    with make_installation(**{f"webhooks.{name}": value for name, value in settings.items()}) as installation:
        yield installation


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def hooks(served: Installation, receiver: Receiver) -> Iterator[Hooks]:
    receiver.take()
    receiver.answers.clear()
    hooks = Hooks(served, receiver)
    hooks.work()
    yield hooks
    hooks.clean()


def test_a_change_arrives_signed_and_in_order(hooks: Hooks) -> None:
    webhook = hooks.add()
    first, second = hooks.write("one", "two")
    hooks.ada.delete(f"/nodes/{first}", If_Match="*")
    assert hooks.work() == ["acme"], "the writes have noted a visit"
    got = hooks.receiver.take()
    assert [(each.data["id"], each.data["kind"]) for each in got] == [(second, "created"), (first, "deleted")]
    assert all(is_genuine(each.headers, each.body, webhook["secret"]) for each in got)
    message = json.loads(got[0].body)
    cursor = message["data"].pop("cursor")
    position = message["data"].pop("position")
    assert position < got[1].data["position"]
    assert message == {
        "type": "nodes.created",
        "timestamp": message["timestamp"],
        "data": {
            "tenant": "acme",
            "tenant_id": str(hooks.place.id),
            "resource": "nodes",
            "id": second,
            "kind": "created",
            "version": 1,
        },
    }
    following = hooks.ada.get(f"/changes?since={cursor}").json["items"]
    assert [(each["id"], each["kind"]) for each in following] == [(first, "deleted")]
    shown = hooks.deliveries(webhook)
    assert [each["id"] for each in shown] == [each.id for each in got]
    assert {(each["state"], each["attempts"], each["answer"], each["error"]) for each in shown} == {
        ("delivered", 1, 204, None)
    }
    assert hooks.jobs("id") == [], "what is done leaves no job"
    assert hooks.work() == []


def test_only_what_was_asked_for_arrives(hooks: Hooks) -> None:
    tags = hooks.add(name="Tags", resources=["tags", "tags"])
    hooks.add(name="Off", active=False)
    assert tags["resources"] == ["tags"]
    hooks.ada.post("/nodes", {"title": "x", "tags": ["of hooks"]})
    hooks.work()
    assert [each.data["resource"] for each in hooks.receiver.take()] == ["tags"]


def test_what_is_rolled_back_is_not_told(hooks: Hooks) -> None:
    hooks.add()
    part = {"method": "POST", "path": "/nodes", "body": {"title": "x"}}
    wrong = {**part, "body": {"title": 7}}
    assert hooks.ada.post("/batch", {"requests": [part, wrong]}).status_int == 422
    hooks.work()
    assert hooks.receiver.take() == []


def test_many_changes_of_one_row_are_told_together(hooks: Hooks) -> None:
    hooks.add()
    (node,) = hooks.write("x")
    for title in ("y", "z"):
        hooks.ada.patch(f"/nodes/{node}", {"title": title}, If_Match="*")
    hooks.work()
    assert [(each.data["kind"], each.data["version"]) for each in hooks.receiver.take()] == [("changed", 3)]


def test_more_changes_than_are_taken_at_once_all_arrive(hooks: Hooks) -> None:
    hooks.add()
    rows = [uuid7() for _ in range(outbox.AT_ONCE + 1)]
    with hooks.databases.begin(hooks.access) as session:
        for row_id in rows:
            record_change(session, Node, row_id, version=1)
    # A visit ends after some seconds, and the next one goes on: on a slow machine there are several.
    arrived: list[str] = []
    while hooks.work():
        arrived += [each.data["id"] for each in hooks.receiver.take()]
    assert arrived == [str(row_id) for row_id in rows]


def test_a_message_that_fails_is_sent_again_under_its_id_and_later_ones_wait(hooks: Hooks) -> None:
    webhook = hooks.add()
    hooks.write("one", "two")
    hooks.receiver.answers += [500, 503]
    hooks.work()
    (first,) = hooks.receiver.take()
    waiting, after = hooks.deliveries(webhook)
    assert (waiting["state"], waiting["attempts"], waiting["answer"]) == ("pending", 1, 500)
    assert waiting["error"] == "The receiver answered 500."
    assert (after["state"], after["attempts"]) == ("pending", 0)
    assert hooks.ada.get(f"/webhooks/{webhook['id']}").json["failures"] == 1
    assert hooks.work() == [], "it pauses"
    assert utcnow() + timedelta(seconds=5) < hooks.visit().due_at < utcnow() + timedelta(seconds=13)
    hooks.make_due()
    hooks.work()
    hooks.make_due()
    hooks.work()
    again = hooks.receiver.take()
    assert [each.id for each in again] == [first.id, first.id, after["id"]]
    assert again[0].body == first.body
    assert hooks.states(webhook) == ["delivered", "delivered"]
    shown = hooks.ada.get(f"/webhooks/{webhook['id']}").json
    assert (shown["failures"], shown["failing_since"]) == (0, None)


def test_a_message_is_given_up_and_can_be_replayed(hooks: Hooks) -> None:
    webhook = hooks.add()
    hooks.write("one", "two")
    hooks.receiver.answers += [400, 400, 400]
    for _ in range(4):
        hooks.work()
        hooks.make_due()
    failed, delivered = hooks.deliveries(webhook)
    assert (failed["state"], failed["attempts"], delivered["state"]) == ("failed", 3, "delivered")
    assert [each["id"] for each in hooks.deliveries(webhook, state="failed")] == [failed["id"]]
    hooks.receiver.take()
    answer = hooks.ada.post(f"/webhook-deliveries/{failed['id']}/replay")
    assert (answer.status_int, answer.json["state"]) == (200, "pending")
    hooks.work()
    assert [each.id for each in hooks.receiver.take()] == [failed["id"]]
    assert hooks.states(webhook) == ["delivered", "delivered"]


def test_a_receiver_that_is_down_is_told_of(hooks: Hooks) -> None:
    with receiving() as gone:
        url = gone.url
    webhook = hooks.add(url=url)
    hooks.write("x")
    hooks.work()
    (shown,) = hooks.deliveries(webhook)
    assert (shown["answer"], "Connection refused" in shown["error"]) == (None, True)


def test_what_fails_for_long_is_switched_off_and_begins_again_from_then_on(hooks: Hooks) -> None:
    webhook = hooks.add()
    hooks.write("one")
    hooks.receiver.answers += [500, 500]
    hooks.work()
    hooks.change(webhook, failing_since=utcnow() - timedelta(days=4))
    hooks.make_due()
    hooks.work()
    shown = hooks.ada.get(f"/webhooks/{webhook['id']}").json
    assert (shown["active"], shown["off_reason"], shown["failures"]) == (False, "failing", 2)
    hooks.write("two, which nobody is told of")
    hooks.make_due()
    hooks.work()
    hooks.receiver.take()
    (waiting,) = hooks.deliveries(webhook)
    refused = hooks.ada.post(f"/webhook-deliveries/{waiting['id']}/replay")
    assert (refused.status_int, refused.json["code"]) == (409, "webhook_off")
    on = hooks.ada.patch(f"/webhooks/{webhook['id']}", {"active": True}).json
    assert (on["active"], on["off_reason"], on["failures"]) == (True, None, 0)
    (third,) = hooks.write("three")
    hooks.make_due()
    hooks.work()
    got = hooks.receiver.take()
    assert got[0].id == waiting["id"]
    assert [each.data["id"] for each in got[1:]] == [third]


def test_a_receiver_that_is_gone_is_not_called_again(hooks: Hooks) -> None:
    webhook = hooks.add()
    hooks.write("x")
    hooks.receiver.answers.append(410)
    hooks.work()
    assert hooks.ada.get(f"/webhooks/{webhook['id']}").json["off_reason"] == "gone"


def test_a_worker_that_was_away_for_too_long_says_so(hooks: Hooks) -> None:
    hooks.add()
    hooks.write("one")
    with hooks.databases.begin(hooks.access) as session:
        session.execute(update(ChangeCounter).values(removed=ChangeCounter.position))
    hooks.work()
    (got,) = hooks.receiver.take()
    assert json.loads(got.body)["type"] == "changes.gone"
    (node,) = hooks.write("two")
    hooks.work()
    assert [each.data["id"] for each in hooks.receiver.take()] == [node]


@pytest.mark.parametrize("made_by", ["restore", "clone"])
def test_a_copy_sends_nothing(hooks: Hooks, made_by: str) -> None:
    """A clone has the webhooks of another tenant; after a restore they are of another database and epoch."""
    webhook = hooks.add()
    hooks.write("one")
    if made_by == "restore":
        hooks.change(webhook, database="another", epoch="another")
    else:
        hooks.change(webhook, tenant_id=ABSENT_ID)
    shown = hooks.ada.get(f"/webhooks/{webhook['id']}").json
    assert (shown["active"], shown["off_reason"]) == (False, "copied"), "before any worker has seen it"
    hooks.work()
    hooks.write("two")
    hooks.work()
    assert hooks.receiver.take() == []
    hooks.ada.patch(f"/webhooks/{webhook['id']}", {"active": True})
    (third,) = hooks.write("three")
    hooks.work()
    assert [each.data["id"] for each in hooks.receiver.take()] == [third]


def test_messages_that_came_with_a_copy_are_skipped(hooks: Hooks) -> None:
    webhook = hooks.add()
    hooks.write("one")
    hooks.receiver.answers.append(500)
    hooks.work()
    hooks.receiver.take()
    hooks.change(webhook, tenant_id=ABSENT_ID)
    hooks.ada.patch(f"/webhooks/{webhook['id']}", {"active": True})
    hooks.make_due()
    hooks.work()
    assert hooks.receiver.take() == []
    assert hooks.states(webhook) == ["skipped"]


@pytest.mark.parametrize("moved", ["database", "epoch"])
def test_a_move_or_a_migration_changes_nothing(hooks: Hooks, moved: str) -> None:
    webhook = hooks.add()
    hooks.change(webhook, **{moved: "before"})
    hooks.write("one")
    hooks.work()
    assert len(hooks.receiver.take()) == 1
    with hooks.databases.begin(hooks.access, read_only=True) as session:
        row = session.execute(select(TenantWebhook.database, TenantWebhook.epoch)).one()
    assert tuple(row) == (hooks.place.database, hooks.place.epoch)


def test_a_copy_without_private_data_has_no_webhooks(hooks: Hooks) -> None:
    hooks.add()
    hooks.write("one")
    hooks.work()
    with hooks.databases.begin(hooks.access) as session:
        _remove_people(session, TenantBase.metadata)
    assert hooks.ada.get("/webhooks").json["items"] == []


def test_old_records_are_removed(hooks: Hooks) -> None:
    webhook = hooks.add()
    hooks.write("one")
    hooks.work()
    with hooks.databases.begin(hooks.access) as session:
        session.execute(update(TenantDelivery).values(created_at=utcnow() - timedelta(days=15)))
    hooks.write("two")
    hooks.work()
    assert len(hooks.deliveries(webhook)) == 1


def test_a_secret_is_shown_once_and_can_be_renewed(hooks: Hooks) -> None:
    webhook = hooks.add()
    path = f"/webhooks/{webhook['id']}"
    assert webhook["secret"].startswith("whsec_")
    assert "secret" not in hooks.ada.get(path).json
    assert "secret" not in hooks.ada.get("/webhooks").json["items"][0]
    renewed = hooks.ada.post(f"{path}/secret").json["secret"]
    assert renewed not in ("", webhook["secret"])
    hooks.write("x")
    hooks.work()
    (got,) = hooks.receiver.take()
    assert is_genuine(got.headers, got.body, renewed)
    with hooks.fleet.user_db.begin(read_only=True) as session:
        told = [each for each in list_entries(session, slug="acme") if each.action.startswith("webhook.")]
        assert [each.action for each in told[:2]] == ["webhook.renew_secret", "webhook.add"]
        assert not any("whsec_" in json.dumps(each.detail) for each in told)


def test_administrators_change_and_delete_webhooks_and_the_trail_says_so(hooks: Hooks) -> None:
    webhook = hooks.add(url=f"{hooks.receiver.url}?key=hidden")
    path = f"/webhooks/{webhook['id']}"
    assert hooks.ada.patch(path, {"name": "Other", "active": False}).json["off_reason"] == "by_people"
    hooks.write("x")
    hooks.work()
    assert hooks.receiver.take() == []
    assert hooks.ada.delete(path).status_int == 204
    assert hooks.ada.get(path).status_int == 404
    entries = [each for each in hooks.ada.get("/tenant/audit").json["items"] if webhook["id"] in str(each["detail"])]
    assert [(each["action"], each["actor"]) for each in entries[::-1]] == [
        ("webhook.add", "ada"),
        ("webhook.change", "ada"),
        ("webhook.delete", "ada"),
    ]
    assert entries[0]["detail"]["name"] == "Other"
    assert "hidden" not in json.dumps(entries)


def test_a_tenant_has_a_bounded_number_of_webhooks(hooks: Hooks) -> None:
    for _ in range(4):
        hooks.add()
    answer = hooks.ada.post("/webhooks", {**PUBLIC, "url": hooks.receiver.url})
    assert (answer.status_int, answer.json["code"]) == (409, "too_many_webhooks")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"url": "http://127.0.0.1:8000/"}, "/url"),
        ({"url": "https://127.0.0.1/"}, "/url"),
        ({"url": "https://169.254.169.254/latest/meta-data/"}, "/url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "/url"),
        ({"url": "https://inside.example.com/"}, "/url"),
        ({"url": "https://a@example.com/"}, "/url"),
        ({"url": "https://example.com:22/"}, "/url"),
        ({"url": ""}, "/url"),
        ({"resources": ["nodes", "users"]}, "/resources/1"),
        ({"resources": []}, "/resources"),
        ({"name": ""}, "/name"),
        ({"secret": "mine"}, "/secret"),
    ],
)
def test_what_is_wrong_is_named(installation: Installation, monkeypatch: Any, changes: Any, pointer: str) -> None:
    """By default only addresses of the Internet, over https."""

    def resolve(host: str, port: int, seconds: float) -> list[str]:
        return ["10.0.0.7"] if host == "inside.example.com" else ["1.1.1.1"]

    monkeypatch.setattr(installation.registry.webhook_addresses, "resolve", resolve)
    ada = Client(installation.app).sign_in("ada", "acme")
    webhook = ada.post("/webhooks", PUBLIC).json
    for answer in (ada.post("/webhooks", PUBLIC | changes), ada.patch(f"/webhooks/{webhook['id']}", changes)):
        assert (answer.status_int, answer.json["code"]) == (422, "invalid")
        assert [each["pointer"] for each in answer.json["errors"]] == [pointer]
    assert [each["url"] for each in ada.get("/webhooks").json["items"]] == [PUBLIC["url"]]


def test_others_neither_see_nor_add_webhooks(installation: Installation, monkeypatch: Any) -> None:
    monkeypatch.setattr(installation.registry.webhook_addresses, "resolve", lambda *_: ["1.1.1.1"])
    webhook = Client(installation.app).sign_in("ada", "acme").post("/webhooks", PUBLIC).json
    gina = Client(installation.app).sign_in("gina", "globex")
    assert gina.get(f"/webhooks/{webhook['id']}/deliveries").status_int == 404
    assert gina.get("/webhooks").json["items"] == []
    for login in ("rita", "bob", "ed"):
        assert Client(installation.app).sign_in(login, "acme").get("/webhooks").json["code"] == "permission_denied"


def test_a_write_costs_no_statement_more_in_its_database(hooks: Hooks) -> None:
    """Whether the tenant has webhooks is asked with the counter of the changes."""
    counted: dict[str, list[int]] = {}
    for case in ("without", "with"):
        if case == "with":
            hooks.add()
        hooks.write("first")
        with (
            StatementRecorder(hooks.databases.for_access(hooks.access)) as of_tenant,
            StatementRecorder(hooks.fleet.user_db) as of_users,
        ):
            hooks.write("x")
        counted[case] = [len(of_tenant), len(of_users)]
        with StatementRecorder(hooks.fleet.user_db) as again:
            hooks.write("y")
        counted[case].append(len(again))
    assert counted["without"][0] == counted["with"][0]
    assert counted["with"][2] <= counted["without"][2] + 1, "the visit is noted already"
