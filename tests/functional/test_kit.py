"""What the pytest plugin gives to the tests of a domain."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, Uuid

from tenantapp.sql.times import utcnow
from tenantapp.tenancy.models import TenantBase
from tenantapp.testing import migrations
from tenantapp.testing.clock import Clock
from tenantapp.testing.queries import recorder_of
from tenantapp.testing.receivers import Receiver
from tenantapp.work.inline import run_due_jobs
from tests.installation import Client, Installation, rolled_back
from tests.receivers import is_genuine


def test_a_session_ends_when_its_time_is_over(installation: Installation, clock: Clock) -> None:
    bob = Client(installation.app).sign_in("bob")
    clock.advance(minutes=29)
    bob.get("/nodes", status=200)
    clock.advance(minutes=29)
    bob.get("/nodes", status=200)
    clock.advance(minutes=31)
    bob.get("/nodes", status=401)


def test_rows_have_the_frozen_time(installation: Installation, clock: Clock) -> None:
    clock.freeze(datetime(2031, 1, 31, 12, 30, tzinfo=UTC))
    bob = Client(installation.app).sign_in("bob")
    assert bob.post("/nodes", {"title": "x"}, status=201).json["created_at"] == "2031-01-31T12:30:00.000000Z"
    clock.advance(minutes=10, seconds=1.5)
    assert bob.post("/nodes", {"title": "x"}, status=201).json["created_at"] == "2031-01-31T12:40:01.500000Z"


def test_a_clock_without_a_zone_is_refused_and_the_last_one_goes_on() -> None:
    clock = Clock()
    with pytest.raises(ValueError, match="a time without a zone"):
        clock.freeze(datetime(2031, 1, 31))  # noqa: DTZ001
    clock.start()
    frozen = clock.freeze()
    assert utcnow() == utcnow() == frozen
    clock.stop()
    assert utcnow() > frozen


def test_statements_are_recorded_on_all_databases(installation: Installation, recorded: Callable[[], Any]) -> None:
    bob, gina = (Client(installation.app).sign_in(login) for login in ("bob", "gina"))
    with recorded() as queries:
        bob.get("/nodes", status=200)
        gina.get("/nodes", status=200)
    assert len(queries) == 4
    assert repr(queries).startswith("4 statements\nSELECT ")
    bob.get("/nodes", status=200)
    assert len(queries) == 4


def test_what_is_really_committed_is_not_recorded(real_installation: Installation) -> None:
    with pytest.raises(RuntimeError, match="only in tests that roll back"):
        recorder_of(real_installation)


def test_what_is_rolled_back_is_in_the_feed_and_found_by_its_words(shared_installation: Installation) -> None:
    for _ in range(2):
        with rolled_back(shared_installation) as installation:
            bob = Client(installation.app).sign_in("bob")
            before = bob.get("/changes", status=200).json["cursor"]
            node = bob.post("/nodes", {"title": "rocket skates"}, status=201).json
            assert [row["id"] for row in bob.get("/nodes?q=rocket+sk", status=200).json["items"]] == [node["id"]]
            changes = bob.get(f"/changes?since={before}", status=200).json["items"]
            assert [change["id"] for change in changes] == [node["id"]]


def test_people_are_made_by_role(installation: Installation) -> None:
    assert installation.person("editor") == installation.person("editor") == "editor"
    assert installation.person("editor", "globex") == "editor-globex"
    assert installation.access("editor").may("content.edit_any")
    assert not installation.access("reader", "globex").may("content.create")
    answer = Client(installation.app).sign_in(installation.person("author", "globex")).get("/session", status=200)
    assert (answer.json["tenant"]["slug"], answer.json["roles"]) == ("globex", ["author"])


class TestWebhooks:
    """Changes are recorded, as in the tests of a domain."""

    @pytest.fixture
    def installation(self, shared_installation: Installation) -> Iterator[Installation]:
        with rolled_back(shared_installation) as installation:
            yield installation

    def test_changes_arrive_at_the_receiver(self, installation: Installation, receiver: Receiver, clock: Clock) -> None:
        ada = Client(installation.app).sign_in("ada")
        hook = {"name": "Search", "url": receiver.url, "resources": ["nodes"]}
        secret = ada.post("/webhooks", hook, status=201).json["secret"]
        node = ada.post("/nodes", {"title": "x"}, status=201).json
        receiver.answers += [503]
        run_due_jobs(installation.registry)
        (told,) = receiver.take()
        assert (told.type, told.data["id"]) == ("nodes.created", node["id"])
        assert is_genuine(told.headers, told.body, secret)
        run_due_jobs(installation.registry)
        assert receiver.received == [], "it waits before the next attempt"
        clock.advance(minutes=1)
        run_due_jobs(installation.registry)
        assert [again.id for again in receiver.received] == [told.id]


def test_models_that_the_migrations_do_not_make_are_shown(
    check_migrations: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_migrations()
    metadata = MetaData()
    for table in TenantBase.metadata.sorted_tables:
        table.to_metadata(metadata)
    Table("left_out", metadata, Column("id", Uuid, primary_key=True))
    monkeypatch.setattr(migrations, "tenant_metadata", lambda settings: metadata)
    with pytest.raises(
        migrations.MigrationsDiffer, match=r"(?s)tenantapp revision tenant.*op.create_table\('left_out'"
    ):
        check_migrations()
