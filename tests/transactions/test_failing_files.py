"""SQLite files that fail: 503 for their tenant, whatever is asked, with the cause in the log."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tenantapp.sql.failures import Cause
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.errors import TenantDatabaseUnavailable
from tests.file_limits import files_no_larger_than
from tests.installation import Client, Installation, sqlite_installation
from tests.transactions.applications import access_to
from tests.unprivileged import bound_by_permissions


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with sqlite_installation(tmp_path) as installation:
        yield installation
        assert installation.checkedout() == 0, "a connection leaked"


@pytest.fixture
def bob(installation: Installation) -> Client:
    """Signed in to acme, where there is a node."""
    bob = Client(installation.app).sign_in("bob")
    bob.post("/nodes", {"title": "kept", "body": "x" * 5000})
    return bob


@pytest.fixture
def file(installation: Installation, bob: Client) -> Path:
    """The file of acme's database, with all that was written, and with no connection to it."""
    place = access_to(installation, "acme").require_tenant()
    installation.close()
    path: Path = installation.registry.servers["main"].path(place.database)  # type: ignore[attr-defined]
    return path


def assert_failing(bob: Client, caplog: pytest.LogCaptureFixture, cause: str) -> None:
    """Reads and writes alike, each with its line in the log."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        answers = [bob.get("/nodes"), bob.get("/tags"), bob.post("/nodes", {"title": "x"}), bob.get("/nodes")]
    for answer in answers:
        assert (answer.status_int, answer.json["code"]) == (503, "tenant_unavailable"), answer.text
        assert int(answer.headers["Retry-After"]) > 0
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("tenantapp")]
    assert len(lines) == len(answers)
    assert all(f"tenant acme on server main: {cause} (" in line for line in lines), lines


def no_database(file: Path) -> None:
    file.write_bytes(b"no database at all" * 1000)


def all_but_the_first_page_overwritten(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


@pytest.mark.parametrize("damage", [no_database, all_but_the_first_page_overwritten, cut_off])
def test_a_damaged_file(
    installation: Installation,
    bob: Client,
    file: Path,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    gina, whole = Client(installation.app).sign_in("gina"), file.read_bytes()
    damage(file)
    assert_failing(bob, caplog, "damaged")
    assert gina.post("/nodes", {"title": "x"}).status_int == 201
    assert bob.get("/session").status_int == 200
    file.write_bytes(whole)
    assert [node["title"] for node in bob.get("/nodes").json["items"]] == ["kept"]
    assert bob.post("/nodes", {"title": "x"}).status_int == 201


def test_a_file_that_may_not_be_opened(bob: Client, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.chmod(0o000)
    with bound_by_permissions():
        assert_failing(bob, caplog, "unreachable")
    file.chmod(0o600)
    assert bob.post("/nodes", {"title": "x"}).status_int == 201


def test_a_full_disk(installation: Installation, bob: Client) -> None:
    """SQLite's own limit on the number of pages stands for the disk: it says the same. Reads are served."""
    engine = installation.registry.tenant_dbs.for_access(access_to(installation, "acme")).engine
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.rollback()
    answer = bob.post("/nodes", {"title": "x", "body": "x" * 90_000})
    assert (answer.status_int, answer.json["code"]) == (503, "tenant_unavailable"), answer.text
    assert [node["title"] for node in bob.get("/nodes").json["items"]] == ["kept"]
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        connection.rollback()
    assert bob.post("/nodes", {"title": "x", "body": "x" * 90_000}).status_int == 201


def test_a_disk_that_refuses_a_write_before_commit(installation: Installation, bob: Client) -> None:
    """More pages than the cache holds go to the write-ahead log at once; no COMMIT was sent, so there is no doubt."""
    access = access_to(installation, "acme")
    with files_no_larger_than(0), pytest.raises(TenantDatabaseUnavailable) as raised:
        write_much(installation, access)
    assert (raised.value.failure.cause, raised.value.failure.in_doubt) == (Cause.FAILED, False)
    assert bob.post("/nodes", {"title": "after"}).status_int == 201
    assert [node["title"] for node in bob.get("/nodes").json["items"]] == ["kept", "after"]


def write_much(installation: Installation, access: Access) -> None:
    with installation.registry.tenant_dbs.begin(access) as session:
        session.execute(text("UPDATE nodes SET body = :body"), {"body": "x" * 2_000_000})
