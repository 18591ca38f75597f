"""A database that is lost while it commits: the answer is that nobody knows, and nothing is tried again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from tenantapp.sql.errors import OutcomeUnknown
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.errors import TenantOutcomeUnknown, UserDatabaseUnavailable
from tests.file_limits import files_no_larger_than
from tests.installation import PASSWORD, Client, Installation, postgres_installation, sqlite_installation
from tests.postgres_proxy import PostgresProxy, proxied
from tests.transactions.applications import access_to

SIGN_IN = {"login": "bob", "password": PASSWORD}
TRIGGER = """
CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER lose AFTER INSERT ON nodes DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.title = 'lost') EXECUTE FUNCTION lose()
"""


@pytest.fixture(scope="module")
def proxy(postgres_server: URL) -> Iterator[PostgresProxy]:
    with proxied(postgres_server) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def module_installation(proxy: PostgresProxy) -> Iterator[Installation]:
    with postgres_installation(proxy.url) as installation:
        yield installation


@pytest.fixture
def installation(module_installation: Installation) -> Iterator[Installation]:
    yield module_installation
    assert module_installation.checkedout() == 0, "a connection leaked"
    module_installation.close()
    assert module_installation.registry.tenant_dbs.numbers()["main"].open == 0, "a place leaked"


def assert_unknown(answer: Any) -> None:
    assert (answer.status_int, answer.json["code"]) == (503, "outcome_unknown"), answer.text
    assert "not known" in answer.json["detail"]
    assert "Retry-After" not in answer.headers, "a library of a client would send it again by itself"


def titles(client: Client) -> list[str]:
    return [node["title"] for node in client.get("/nodes").json["items"]]


@pytest.mark.parametrize("done", [True, False])
def test_a_change_in_a_tenant_may_have_been_kept_or_not(
    installation: Installation, proxy: PostgresProxy, done: bool
) -> None:
    bob = Client(installation.app).sign_in("bob")
    title, lost = f"done {done}", proxy.lost
    proxy.lose_next_commit(done=done)
    assert_unknown(bob.post("/nodes", {"title": title}))
    assert titles(bob).count(title) == int(done)
    assert proxy.lost == lost + 1, "it was not tried again"
    assert bob.post("/nodes", {"title": "after"}).status_int == 201


@pytest.mark.parametrize("done", [True, False])
def test_the_idempotency_key_finds_out(installation: Installation, proxy: PostgresProxy, done: bool) -> None:
    """Sent again, the change is made now, or its answer is repeated: it is made once."""
    bob = Client(installation.app).sign_in("bob")
    key = title = f"with a key, done {done}"
    proxy.lose_next_commit(done=done)
    assert_unknown(bob.post("/nodes", {"title": title}, Idempotency_Key=key))
    again = bob.post("/nodes", {"title": title}, Idempotency_Key=key)
    assert again.status_int == 201
    assert ("Idempotency-Replayed" in again.headers) == done
    assert titles(bob).count(title) == 1


@pytest.mark.parametrize("done", [True, False])
def test_the_version_finds_out_with_the_present_row(
    installation: Installation, proxy: PostgresProxy, done: bool
) -> None:
    """Sent again, a change that was made is a mismatch. The answer has the row, which the client compares."""
    bob = Client(installation.app).sign_in("bob")
    made = bob.post("/nodes", {"title": "before"})
    path, tag = f"/nodes/{made.json['id']}", made.headers["ETag"]
    proxy.lose_next_commit(done=done)
    assert_unknown(bob.patch(path, {"title": "sent"}, If_Match=tag))
    again = bob.patch(path, {"title": "sent"}, If_Match=tag)
    if done:
        assert (again.status_int, again.json["code"]) == (412, "version_mismatch")
        assert again.json["current"]["title"] == "sent"
    else:
        assert (again.status_int, again.json["title"]) == (200, "sent")
    tag = bob.get(path).headers["ETag"]
    proxy.lose_next_commit(done=done)
    assert_unknown(bob.delete(path, If_Match=tag))
    assert bob.delete(path, If_Match=tag).status_int == (404 if done else 204)


def test_a_change_in_the_user_database_likewise(installation: Installation, proxy: PostgresProxy) -> None:
    bob = Client(installation.app).sign_in("bob")
    proxy.lose_next_commit(done=True)
    assert_unknown(bob.delete("/session"))
    assert bob.get("/session").status_int == 401


def test_a_backend_that_ends_in_the_middle_of_commit(installation: Installation) -> None:
    """The server says so itself, and so it is told: nobody can see from outside how far it had come."""
    with installation.registry.tenant_dbs.begin(access_to(installation, "acme")) as session:
        session.execute(text(TRIGGER))
    bob = Client(installation.app).sign_in("bob")
    assert_unknown(bob.post("/nodes", {"title": "lost"}))
    assert "lost" not in titles(bob)


def test_a_backend_that_ends_just_after_the_commit(installation: Installation, proxy: PostgresProxy) -> None:
    """The driver has its farewell for a notice of the COMMIT, and the connection is gone. The change was kept."""
    bob = Client(installation.app).sign_in("bob")
    proxy.end_after_next_commit()
    assert_unknown(bob.post("/nodes", {"title": "kept"}))
    assert titles(bob).count("kept") == 1
    assert bob.post("/nodes", {"title": "after"}).status_int == 201


def test_a_transaction_that_only_reads_leaves_no_doubt(installation: Installation, proxy: PostgresProxy) -> None:
    """Its COMMIT changes nothing."""
    proxy.lose_next_commit(done=False)
    with (
        pytest.raises(UserDatabaseUnavailable) as raised,
        installation.registry.user_db.begin(read_only=True) as session,
    ):
        session.execute(text("SELECT 1"))
    assert not isinstance(raised.value, OutcomeUnknown)


def test_a_script_is_told_too(installation: Installation, proxy: PostgresProxy) -> None:
    access = access_to(installation, "acme")
    with pytest.raises(TenantOutcomeUnknown) as raised:
        change_and_lose(installation, access, proxy)
    assert isinstance(raised.value, OutcomeUnknown)
    assert raised.value.failure.in_doubt
    assert raised.value.for_log().startswith("tenant acme on server main: connection lost while it committed (server ")


def change_and_lose(installation: Installation, access: Access, proxy: PostgresProxy) -> None:
    with installation.registry.tenant_dbs.begin(access) as session:
        session.execute(text("UPDATE nodes SET title = title"))
        proxy.lose_next_commit(done=True)


@pytest.mark.parametrize("database", ["tenant", "user"])
def test_a_sqlite_file_that_could_not_be_written(tmp_path: Path, database: str) -> None:
    """The operating system refuses the write in the middle of COMMIT, when pages go to the write-ahead log."""
    with sqlite_installation(tmp_path) as installation:
        bob = Client(installation.app).sign_in("bob")
        assert bob.post("/nodes", {"title": "before"}).status_int == 201
        with files_no_larger_than(0):
            if database == "tenant":
                answer = bob.post("/nodes", {"title": "x"})
            else:
                answer = bob.patch("/session", {"tenant": "acme"})
        assert_unknown(answer)
        assert installation.checkedout() == 0
        assert bob.post("/nodes", {"title": "after"}).status_int == 201
        assert titles(bob) == ["before", "after"]
        assert Client(installation.app).post("/session", SIGN_IN).status_int == 201
