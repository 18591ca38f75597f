"""Workers that deliver webhooks: one that is killed, and one that finds a copy of the tenant."""

import json
from collections.abc import Iterator

import pytest

from tenantapp.fleet.copying.requests import request_clone
from tenantapp.operations.queue import local_requester
from tenantapp.tenancy.models import DeliveryState
from tenantapp.testing.receivers import Receiver, receiving
from tenantapp.webhooks.rows import WebhookContent, add_webhook, list_deliveries, list_webhooks
from tenantapp.work.worker import worker_databases
from tenantapp.workspace.models import Tag
from tests.contract.conftest import Fleet, work
from tests.contract.forks import Hanging
from tests.jobs import Desk


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def desk(fleet: Fleet, receiver: Receiver) -> Iterator[Desk]:
    """The tenant acme, which has tags told to the receiver."""
    fleet.change_settings(webhooks_allow_http="true", webhooks_allow_private="true")
    fleet.initialised()
    fleet.create("acme")
    receiver.take()
    with worker_databases(fleet.services) as databases:
        desk = Desk(fleet.services, databases)
        desk.declared = fleet.services.declared.jobs
        content = WebhookContent(name="Search", url=receiver.url, resources=["tags"])
        with databases.begin(desk.access) as session:
            add_webhook(session, desk.access, content, {"tags"}, most=1)
        yield desk


def add_tag(desk: Desk, name: str) -> None:
    with desk.databases.begin(desk.access) as session:
        session.add(Tag(name=name))


def states(desk: Desk) -> list[str]:
    with desk.databases.begin(desk.access, read_only=True) as session:
        (webhook,) = list_webhooks(session)
        return [delivery.state for delivery in list_deliveries(session, webhook.id, limit=10)]


def test_what_a_killed_worker_had_sent_is_sent_again_under_its_id(desk: Desk, fleet: Fleet, receiver: Receiver) -> None:
    add_tag(desk, "red")
    Hanging("tests.contract.hanging_delivery", json.dumps(fleet.values)).kill()
    assert states(desk) == [DeliveryState.PENDING], "it is not recorded"
    desk.let_lease_run_out()
    desk.work_off()
    sent = receiver.take()
    assert [each.type for each in sent] == ["tags.created"] * 2
    assert len({each.id for each in sent}) == 1
    assert states(desk) == [DeliveryState.DELIVERED]


def test_a_clone_tells_nobody_anything(desk: Desk, fleet: Fleet, receiver: Receiver) -> None:
    add_tag(desk, "red")
    with fleet.user_db.begin() as session:
        request_clone(session, fleet.services, "acme", "copy", requested_by=local_requester())
    work(fleet.services)
    copy = Desk(desk.fleet, desk.databases, "copy")
    copy.declared = desk.declared
    add_tag(copy, "green")
    desk.work_off()
    assert [each.data["tenant"] for each in receiver.take()] == ["acme"]
    with copy.databases.begin(copy.access, read_only=True) as session:
        (webhook,) = list_webhooks(session)
        assert (webhook.active, webhook.off_reason) == (False, "copied")
    assert states(copy) == []
