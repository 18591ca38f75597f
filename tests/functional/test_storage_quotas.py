"""A tenant that uses all of its storage reads and deletes, and adds nothing. Workers measure how much it uses."""

import logging
import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tenantapp.databases.errors import DatabaseUnreachable
from tenantapp.databases.servers.postgres_databases import PostgresDatabases
from tenantapp.databases.servers.sqlite_databases import SqliteDatabases
from tenantapp.fleet.storage import EVERY, measure_storage
from tenantapp.identity.models import Tenant
from tenantapp.identity.storage_quotas import count_filled, set_storage_quota
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.times import utcnow
from tests.functional.conftest import Command
from tests.functional.operators import add_operator, code, trail
from tests.installation import Client, Installation

LARGE, FILE = 2**40, 2**27  # bytes


def fleet_of(installation: Installation, **settings: Any) -> Fleet:
    fleet: Fleet = installation.registry.fleet
    return replace(fleet, user_db=installation.registry.user_db, settings=replace(fleet.settings, **settings))


def give(installation: Installation, quota: int | None, slug: str = "acme", default: int | None = None) -> None:
    with installation.registry.user_db.begin() as session:
        set_storage_quota(session, slug, quota, default)


def tenant(installation: Installation, slug: str = "acme") -> Tenant:
    with installation.registry.user_db.begin(read_only=True) as session:
        found = get_tenant(session, slug)
        session.expunge(found)
    return found


def let_pass(installation: Installation) -> None:
    """What was measured is due again."""
    with installation.registry.user_db.begin() as session:
        long_ago = utcnow() - 2 * EVERY
        session.execute(update(Tenant).where(Tenant.storage_used.is_not(None)).values(storage_measured_at=long_ago))


def test_a_full_tenant_reads_and_deletes_and_adds_nothing(installation: Installation, client: Client) -> None:
    client.sign_in("bob", "acme")
    row = client.post("/nodes", {"title": "x"}).json["id"]
    give(installation, 1)
    assert client.post("/nodes", {"title": "y"}).status_int == 201, "it has not been measured"
    measure_storage(fleet_of(installation))
    found = tenant(installation)
    assert found.storage_full
    assert found.storage_used
    for answer in (
        client.post("/nodes", {"title": "y"}),
        client.patch(f"/nodes/{row}", {"title": "y"}),
        client.post("/batch", {"requests": [{"method": "POST", "path": "/nodes", "body": {"title": "y"}}]}),
    ):
        assert code(answer) == (409, "storage_full")
    assert client.get(f"/nodes/{row}").json["title"] == "x"
    reading_and_deleting = [{"method": "GET", "path": "/nodes"}, {"method": "DELETE", "path": f"/nodes/{row}"}]
    assert client.post("/batch", {"requests": reading_and_deleting}).status_int == 200
    assert client.switch("acme").status_int == 200, "that is no data of the tenant"
    assert Client(installation.app).sign_in("gina").post("/nodes", {"title": "of another tenant"}).status_int == 201
    give(installation, LARGE)
    assert client.post("/nodes", {"title": "y"}).status_int == 201


def test_only_what_has_a_quota_is_measured_and_not_all_the_time(installation: Installation) -> None:
    fleet = fleet_of(installation)
    measure_storage(fleet)
    assert tenant(installation).storage_measured_at is None
    give(installation, LARGE)
    measure_storage(fleet)
    first = tenant(installation)
    assert (tenant(installation, "globex").storage_used, first.storage_full) == (None, False)
    assert first.storage_used
    assert first.storage_used > 10_000
    measure_storage(fleet)
    assert tenant(installation).storage_measured_at == first.storage_measured_at
    let_pass(installation)
    measure_storage(fleet)
    measured_at = tenant(installation).storage_measured_at
    assert measured_at
    assert measured_at > utcnow() - timedelta(minutes=1)


def test_the_setting_counts_for_all_without_a_quota_of_their_own(installation: Installation) -> None:
    give(installation, LARGE)
    measure_storage(fleet_of(installation, quotas_storage=1))
    assert (tenant(installation).storage_full, tenant(installation, "globex").storage_full) == (False, True)
    give(installation, None, default=1)
    assert tenant(installation).storage_full
    with installation.registry.user_db.begin(read_only=True) as session:
        assert count_filled(session, 1) == (2, 2)
    # The setting is taken away: nobody stays full for ever.
    let_pass(installation)
    measure_storage(fleet_of(installation))
    assert not tenant(installation).storage_full


def test_files_count_and_operators_are_told_once(
    installation: Installation, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = fleet_of(installation, files_storage=str(tmp_path))
    give(installation, LARGE)
    measure_storage(fleet)
    before = tenant(installation).storage_used or 0
    (tmp_path / tenant(installation).id.hex).mkdir()
    (tmp_path / tenant(installation).id.hex / ("0" * 32)).touch()
    os.truncate(tmp_path / tenant(installation).id.hex / ("0" * 32), FILE)
    give(installation, round((before + FILE) / 0.85))
    caplog.clear()
    with caplog.at_level(logging.WARNING, "tenantapp"):
        for _ in range(2):
            let_pass(installation)
            measure_storage(fleet)
    assert (tenant(installation).storage_used or 0) >= before + FILE
    assert [record.message for record in caplog.records] == ["The tenant acme uses 85 % of its storage quota."]
    with installation.registry.user_db.begin(read_only=True) as session:
        assert count_filled(session, None) == (1, 0)


def test_a_server_that_does_not_answer_leaves_its_tenants_as_they_are(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    give(installation, 1)
    measure_storage(fleet_of(installation))
    let_pass(installation)

    def unreachable(databases: Any, names: Any) -> Any:
        raise DatabaseUnreachable("main", "it is gone")

    for engine in (PostgresDatabases, SqliteDatabases):
        monkeypatch.setattr(engine, "sizes", unreachable)
    caplog.clear()
    measure_storage(fleet_of(installation))
    assert "The storage on the server main cannot be measured" in caplog.text
    assert tenant(installation).storage_full
    caplog.clear()
    measure_storage(fleet_of(installation))
    assert caplog.text == "", "it is not asked again at once"


def test_operators_give_quotas_over_http(installation: Installation) -> None:
    otto = add_operator(installation)
    changed = otto.patch("/fleet/tenants/acme", {"storage_quota": 5 * 2**30}).json
    assert (changed["storage_quota"], changed["storage_used"], changed["storage_full"]) == (5 * 2**30, None, False)
    assert otto.patch("/fleet/tenants/acme", {"storage_quota": None}).json["storage_quota"] is None
    assert code(otto.patch("/fleet/tenants/acme", {"storage_quota": 0})) == (422, "invalid")
    assert otto.patch("/fleet/tenants/acme", {"connection_quota": 6}).json["connection_quota"] == 6
    refused = {"storage_quota": 1, "connection_quota": 0}
    assert code(otto.patch("/fleet/tenants/acme", refused)) == (422, "invalid")
    found = otto.get("/fleet/tenants/acme").json
    assert (found["storage_quota"], found["connection_quota"]) == (None, 6)
    assert trail(installation) == [("tenant.quota", "acme")] * 3


def test_the_command_shows_and_changes_it(done: Command, failed: Any) -> None:
    done("tenants", "create", "acme")
    given = done("tenants", "quota", "acme", "--storage", "5GiB", "--json").json
    assert given == {
        "slug": "acme",
        "storage_quota": 5 * 2**30,
        "storage_used": None,
        "storage_measured_at": None,
        "storage_full": False,
        "connection_quota": None,
    }
    assert done("tenants", "quota", "acme", "--default-storage", "--json").json["storage_quota"] is None
    assert done("tenants", "quota", "acme", "--connections", "6", "--json").json["connection_quota"] == 6
    assert done("tenants", "quota", "acme", "--default-connections", "--json").json["connection_quota"] is None
    assert "not both" in failed("tenants", "quota", "acme", "--default-connections", "--connections", "2")
    assert "0 is not in the range" in failed("tenants", "quota", "acme", "--connections", "0")
    assert "acme" in done("tenants", "quota", "acme").out
    assert "no tenant" in failed("tenants", "quota", "nobody")
    for wrong in ("5GB", "0GiB", "-1", "many"):
        assert "Give a size such as" in failed("tenants", "quota", "acme", "--storage", wrong)
