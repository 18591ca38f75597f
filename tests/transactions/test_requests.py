"""What is committed, what is not, and that nothing stays open: with real commits and no injected sessions."""

import gzip
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from pyramid.response import Response
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError
from sqlalchemy.orm import Session
from transaction.interfaces import NoTransaction

from tenantapp.identity import web_sessions
from tenantapp.identity.local_access import local_access
from tenantapp.identity.models import User, WebSession
from tenantapp.identity.users import get_user
from tenantapp.resources import create_row
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import Access
from tenantapp.workspace.content import NodeContent
from tenantapp.workspace.models import Node
from tenantapp.workspace.nodes import nodes
from tests.installation import PASSWORD, Client, Installation, postgres_installation
from tests.transactions.applications import access_to, app_with, node_titles
from tests.transactions.server import exchange, send, serving


def test_a_session_that_reads_cannot_write(real_installation: Installation) -> None:
    registry, access = real_installation.registry, access_to(real_installation, "acme")
    for begin, statement in (
        (registry.user_db.begin, "UPDATE users SET name = 'x'"),
        (partial(registry.tenant_dbs.begin, access), "UPDATE nodes SET title = 'x'"),
    ):
        with pytest.raises(DBAPIError), begin(read_only=True) as session:
            session.execute(text(statement))
        with begin() as session:
            session.execute(text(statement))


def add_node(session: Session, access: Access, title: str) -> None:
    session.execute(
        text("INSERT INTO people (id, name) VALUES (:id, :name) ON CONFLICT DO NOTHING"),
        {"id": as_stored(session, access.person.id), "name": "x"},
    )
    session.add(Node(owner_id=access.person.id, title=title, body="", status="draft"))


def as_stored(session: Session, value: Any) -> str:
    return str(value) if session.get_bind().dialect.name == "postgresql" else value.hex


def test_a_good_request_commits_and_a_failing_one_does_not(real_installation: Installation) -> None:
    def good(request: Any) -> dict[str, str]:
        add_node(request.tenant_session, request.access, "good")
        return {}

    def raising(request: Any) -> dict[str, str]:
        add_node(request.tenant_session, request.access, "raising")
        request.tenant_session.flush()
        raise RuntimeError("after writing")

    def returning_an_error(request: Any) -> Response:
        add_node(request.tenant_session, request.access, "returning")
        request.tenant_session.flush()
        return Response(status=400)

    bob = Client(app_with(real_installation, good=good, raising=raising, returning=returning_an_error)).sign_in("bob")
    assert bob.post("/x/good").status_int == 200
    assert bob.post("/x/raising").status_int == 500
    assert real_installation.checkedout() == 0
    assert bob.post("/x/returning").status_int == 400
    assert real_installation.checkedout() == 0
    assert bob.post("/x/good").status_int == 200
    assert node_titles(real_installation) == ["good", "good"]


def test_one_persons_writes_do_not_wait_for_each_other(real_installation: Installation, engine_name: str) -> None:
    if engine_name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    registry = real_installation.registry
    bob = Client(real_installation.app).sign_in("bob")
    assert bob.post("/nodes", {"title": "first"}).status_int == 201
    with registry.user_db.begin(read_only=True) as session:
        access = local_access(session, "acme", login="bob")
    with registry.tenant_dbs.begin(access) as session:
        create_row(nodes, session, access, NodeContent(title="not committed yet"))
        assert bob.post("/nodes", {"title": "meanwhile"}).status_int == 201
    with registry.user_db.begin() as session:
        get_user(session, "bob").name = "Robert"
    assert bob.post("/nodes", {"title": "renamed"}).json["owner"]["name"] == "Robert"


def test_text_statements_are_committed(real_installation: Installation) -> None:
    def insert(request: Any) -> dict[str, str]:
        request.tenant_session.execute(
            text("INSERT INTO tags (id, name) VALUES (:id, 'text')"),
            {"id": as_stored(request.tenant_session, request.access.person.id)},
        )
        return {}

    bob = Client(app_with(real_installation, insert=insert)).sign_in("bob")
    bob.post("/x/insert")
    assert [tag["name"] for tag in bob.get("/tags").json["items"]] == ["text"]


def test_a_request_writes_to_one_database_only(real_installation: Installation) -> None:
    """Two databases in one transaction are not atomic, so the other one refuses, and nothing is written to either."""

    def both(request: Any) -> dict[str, str]:
        add_node(request.tenant_session, request.access, "both")
        request.tenant_session.flush()
        request.user_session.add(User(login="intruder", name="x"))
        request.user_session.flush()
        return {}

    bob = Client(app_with(real_installation, both=both)).sign_in("bob")
    assert bob.post("/x/both").status_int == 500
    assert node_titles(real_installation) == []
    with real_installation.registry.user_db.begin(read_only=True) as session:
        assert session.scalar(select(func.count()).where(User.login == "intruder")) == 0


@pytest.mark.parametrize("kind", ["user", "tenant"])
def test_a_safe_request_writes_to_none(real_installation: Installation, kind: str) -> None:
    def write(request: Any) -> dict[str, str]:
        session = request.user_session if kind == "user" else request.tenant_session
        table = "groups" if kind == "user" else "tags"
        session.execute(
            text(f"INSERT INTO {table} (id, name) VALUES (:id, 'x')"),
            {"id": as_stored(session, request.access.person.id)},
        )
        return {}

    bob = Client(app_with(real_installation, write=write)).sign_in("bob")
    assert bob.get("/x/write").status_int == 500
    assert bob.get("/tags").json["items"] == []


def test_a_safe_request_has_no_transaction_to_join(real_installation: Installation) -> None:
    """What joins it would never be committed, so that it must not go unnoticed."""
    raised: list[type[BaseException]] = []

    def joining(request: Any) -> dict[str, str]:
        try:
            request.tm.get()
        except NoTransaction as error:
            raised.append(type(error))
        return {}

    bob = Client(app_with(real_installation, joining=joining)).sign_in("bob")
    assert bob.post("/x/joining").status_int == 200
    assert raised == []
    assert bob.get("/x/joining").status_int == 200
    assert raised == [NoTransaction]


def test_a_commit_that_fails(real_installation: Installation) -> None:
    """The answer was ready, and is not sent: the commit is part of the request."""

    def view(request: Any) -> dict[str, str]:
        session = request.tenant_session
        add_node(session, request.access, "never")

        @event.listens_for(session, "before_commit")
        def fail(_: Any) -> None:
            raise IntegrityError("COMMIT", None, Exception("deferred constraint"))

        return {"status": "written"}

    bob = Client(app_with(real_installation, view=view)).sign_in("bob")
    answer = bob.post("/x/view")
    assert (answer.status_int, answer.json["code"]) == (409, "conflict")
    assert node_titles(real_installation) == []
    assert real_installation.checkedout() == 0
    assert bob.post("/nodes", {"title": "next"}).status_int == 201


def test_a_deferred_constraint_fails_in_the_commit_itself(real_installation: Installation) -> None:
    """SQLite and PostgreSQL check a deferred foreign key when they commit."""

    def view(request: Any) -> dict[str, str]:
        session = request.tenant_session
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("ALTER TABLE nodes ALTER CONSTRAINT fk_nodes_parent_id_nodes DEFERRABLE"))
            session.execute(text("SET CONSTRAINTS ALL DEFERRED"))
        else:
            session.execute(text("PRAGMA defer_foreign_keys = ON"))
        add_node(session, request.access, "orphan")
        session.flush()
        session.execute(text("UPDATE nodes SET parent_id = :id"), {"id": as_stored(session, request.access.person.id)})
        return {"status": "written"}

    bob = Client(app_with(real_installation, view=view)).sign_in("bob")
    answer = bob.post("/x/view")
    assert (answer.status_int, answer.json["code"]) == (409, "conflict"), answer.text
    assert node_titles(real_installation) == []
    assert real_installation.checkedout() == 0
    assert bob.post("/nodes", {"title": "next"}).status_int == 201


def test_after_a_failed_transaction_the_next_use_works(real_installation: Installation) -> None:
    tenant_dbs, access = real_installation.registry.tenant_dbs, access_to(real_installation, "acme")
    for _ in range(12):  # more often than the pool has connections
        with pytest.raises(DBAPIError), tenant_dbs.begin(access) as session:
            session.execute(text("SELECT * FROM no_such_table"))
    with suppress(RuntimeError), tenant_dbs.begin(access) as session:
        add_node(session, access, "rolled back")
        session.flush()
        raise RuntimeError
    with tenant_dbs.begin(access) as session:
        add_node(session, access, "kept")
    assert node_titles(real_installation) == ["kept"]


def test_a_session_after_the_transaction_raises_and_is_closed(real_installation: Installation) -> None:
    seen: list[Any] = []

    def view(request: Any) -> dict[str, str]:
        session = request.tenant_session
        session.execute(select(1))

        def too_late(_: Any) -> None:
            try:
                session.execute(select(1))
            except (NoTransaction, InvalidRequestError) as error:
                seen.append(error)

        request.add_finished_callback(too_late)
        return {}

    Client(app_with(real_installation, view=view)).sign_in("bob").post("/x/view")
    assert len(seen) == 1
    assert real_installation.checkedout() == 0


def test_a_response_that_is_made_too_late_leaks_nothing(real_installation: Installation) -> None:
    """The body is iterated after the request has finished; a session is closed by then, for good."""

    def view(request: Any) -> Response:
        session = request.tenant_session

        def body() -> Iterator[bytes]:
            yield str(session.scalar(select(1))).encode()

        return Response(app_iter=body())

    bob = Client(app_with(real_installation, view=view)).sign_in("bob")
    with pytest.raises(InvalidRequestError):
        bob.get("/x/view")
    assert real_installation.checkedout() == 0


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_a_transaction_that_collided_is_tried_again(postgres_server: Any, code: str) -> None:
    """Serialization failure and deadlock, as PostgreSQL says them. SQLite has neither."""
    tries: list[int] = []

    def view(request: Any) -> dict[str, int]:
        add_node(request.tenant_session, request.access, "once")
        request.tenant_session.flush()
        tries.append(1)
        if len(tries) % 3:
            request.tenant_session.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$"))
        return {"tries": len(tries)}

    def always(request: Any) -> None:
        tries.append(1)
        request.tenant_session.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$"))

    with postgres_installation(postgres_server) as installation:
        bob = Client(app_with(installation, view=view, always=always)).sign_in("bob")
        assert bob.post("/x/view").json == {"tries": 3}
        assert bob.post("/t/acme/x/view").json == {"tries": 6}, "each try finds the tenant in the path"
        assert node_titles(installation) == ["once", "once"]
        tries.clear()
        answer = bob.post("/x/always")
        assert (answer.status_int, answer.json["code"], len(tries)) == (409, "conflict", 3)
        assert installation.checkedout() == 0


def test_a_session_whose_close_fails_does_not_cost_the_answer(
    real_installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    closed: list[str] = []

    def view(request: Any) -> dict[str, str]:
        for name in ("tenant_session", "user_session"):
            session = getattr(request, name)
            session.execute(select(1))
            original = session.close

            def close(name: str = name, original: Any = original) -> None:
                original()
                closed.append(name)
                if len(closed) == 2:  # the first close of the finished callback, after the transaction's own
                    raise RuntimeError("close failed")

            session.close = close
        return {"status": "sent"}

    answer = Client(app_with(real_installation, view=view)).sign_in("bob").post("/x/view")
    assert answer.json == {"status": "sent"}
    assert closed == ["tenant_session", "tenant_session", "user_session"]
    assert "could not be closed" in caplog.text
    assert real_installation.checkedout() == 0


def test_a_health_check_does_not_make_later_reads_stale(real_installation: Installation) -> None:
    """A result that nobody read to its end would hold the snapshot of its moment on the pooled connection.

    Something has to keep the cursor alive for that, as the debug toolbar does.
    """
    kept: list[Any] = []
    engine = real_installation.registry.access_reader.database.engine
    event.listen(engine, "after_cursor_execute", lambda connection, cursor, *rest: kept.append(cursor))
    client = Client(real_installation.app)
    for _ in range(3):
        client.http.get("/__heartbeat__")
        client.sign_in("bob")
        assert client.get("/session").status_int == 200
    assert len(kept) >= 3


def test_two_writers_lose_no_update(real_installation: Installation) -> None:
    """A lost race is answered 409, never with a silent overwrite."""
    bob = Client(real_installation.app).sign_in("bob")
    node = bob.post("/nodes", {"title": "0"}).json
    outcomes: list[int] = []
    barrier = threading.Barrier(4, timeout=60)

    def write(number: int) -> None:
        client = bob.copy()
        barrier.wait()
        for step in range(10):
            tag = client.get(f"/nodes/{node['id']}").headers["ETag"]
            answer = client.patch(f"/nodes/{node['id']}", {"title": f"{number}-{step}"}, If_Match=tag)
            outcomes.append(answer.status_int)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(outcomes) <= {200, 409, 412}
    assert len(outcomes) == 40
    assert bob.get(f"/nodes/{node['id']}").json["version"] == 1 + outcomes.count(200)


def test_the_same_new_tag_by_many_at_once(real_installation: Installation) -> None:
    bob = Client(real_installation.app).sign_in("bob")
    barrier, statuses = threading.Barrier(6, timeout=60), []

    def write() -> None:
        client = bob.copy()
        barrier.wait()
        statuses.append(client.post("/nodes", {"title": "x", "tags": ["new", "shiny"]}).status_int)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [201] * 6
    tags = bob.get("/tags").json["items"]
    assert [(tag["name"], tag["nodes"]) for tag in tags] == [("new", 6), ("shiny", 6)]


def test_the_same_put_of_a_new_row_by_many_at_once(real_installation: Installation) -> None:
    clients = [Client(real_installation.app).sign_in("bob") for _ in range(6)]
    barrier, answers = threading.Barrier(len(clients), timeout=60), []
    paths = [f"/nodes/{uuid7()}" for _ in range(4)]

    def write(client: Client) -> None:
        for path in paths:
            barrier.wait()
            answers.append(client.put(path, {"title": "x"}, If_None_Match="*"))

    threads = [threading.Thread(target=write, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    late = [answer for answer in answers if answer.status_int != 201]
    assert len(answers) - len(late) == len(paths)
    assert {(answer.status_int, answer.json["code"]) for answer in late} == {(412, "version_mismatch")}
    assert all(answer.json["current"]["title"] == "x" for answer in late)


def test_signing_out_wins_over_a_switch_at_the_same_moment(real_installation: Installation) -> None:
    """Whichever comes first, nobody is signed in afterwards."""
    for _ in range(8):
        one = Client(real_installation.app).sign_in("both", "acme")
        other = Client(real_installation.app)
        other.http.set_cookie("tenantapp", one.http.cookies["tenantapp"])
        other.csrf_token = one.csrf_token
        barrier, statuses = threading.Barrier(2, timeout=60), {}

        def leave(client: Client = one, barrier: Any = barrier, statuses: Any = statuses) -> None:
            barrier.wait()
            statuses["out"] = client.delete("/session").status_int

        def switch(client: Client = other, barrier: Any = barrier, statuses: Any = statuses) -> None:
            barrier.wait()
            statuses["switch"] = client.switch("globex").status_int

        threads = [threading.Thread(target=leave), threading.Thread(target=switch)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if statuses["out"] == 204:
            with real_installation.registry.user_db.begin(read_only=True) as session:
                assert session.scalar(select(func.count()).select_from(WebSession)) == 0, statuses


def test_two_moves_at_once_make_no_circle(real_installation: Installation) -> None:
    bob = Client(real_installation.app).sign_in("bob")
    for _ in range(10):
        one, two = (bob.post("/nodes", {"title": title}).json["id"] for title in ("one", "two"))
        barrier = threading.Barrier(2, timeout=60)
        statuses: list[int] = []

        def move(node: str, parent: str, barrier: threading.Barrier = barrier, statuses: Any = statuses) -> None:
            client = bob.copy()
            barrier.wait()
            statuses.append(client.patch(f"/nodes/{node}", {"parent_id": parent}).status_int)

        threads = [threading.Thread(target=move, args=pair) for pair in ((one, two), (two, one))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        parents = [bob.get(f"/nodes/{node}").json["parent_id"] for node in (one, two)]
        assert None in parents, statuses
        assert sorted(statuses)[0] == 200
        assert sorted(statuses)[1] in (409, 422)


def test_logs_hold_no_secrets(real_installation: Installation, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "sqlalchemy.engine")  # statements; at DEBUG it logs the rows themselves
    client = Client(real_installation.app)
    client.post("/session", {"login": "ada", "password": "a wrong password"})
    client.sign_in("ada")
    client.get("/session")
    client.switch("globex")
    assert "INSERT INTO web_sessions" in caplog.text
    assert "/api/v1/session" in caplog.text
    token = client.http.cookies["tenantapp"]
    token_hash = web_sessions.hash_token(token)
    api_token = client.post("/tokens", {"name": "x", "permissions": ["content.read"]}).json["token"]
    program = Client(real_installation.app).with_token(api_token)
    assert program.get("/nodes").status_int == 200
    assert program.get("/t/globex/nodes").status_int == 403
    assert program.with_token(api_token + "x").get("/nodes").status_int == 401
    assert "INSERT INTO api_tokens" in caplog.text
    api_hash = web_sessions.hash_token(api_token)
    secrets = (
        *(api_token, api_token.removeprefix("tapp_"), api_hash.hex(), repr(api_hash)),
        *("a wrong password", PASSWORD, token, client.csrf_token, token_hash.hex(), repr(token_hash), "$argon2id"),
    )
    assert [secret for secret in secrets if secret in caplog.text] == []


def test_a_client_that_goes_away(real_installation: Installation) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(request: Any) -> dict[str, str]:
        add_node(request.tenant_session, request.access, "slow")
        request.tenant_session.flush()
        started.set()
        assert go_on.wait(10)
        return {"padding": "x" * 5_000_000}

    app = app_with(real_installation, slow=slow)
    bob = Client(app).sign_in("bob")
    head = f"Host: localhost\r\nCookie: tenantapp={bob.http.cookies['tenantapp']}\r\nX-CSRF-Token: {bob.csrf_token}\r\n"
    with serving(app) as address:
        connection = send(address, f"POST /api/v1/x/slow HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n".encode())
        assert started.wait(10)
        connection.close()
        go_on.set()
        # One that leaves in mid-body never becomes a request.
        send(address, f"POST /api/v1/nodes HTTP/1.1\r\n{head}Content-Length: 100\r\n\r\n{{".encode()).close()
        deadline = time.monotonic() + 10
        while real_installation.checkedout() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert real_installation.checkedout() == 0
        answer = exchange(address, f"GET /api/v1/nodes HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
        assert b"200 OK" in answer
    # It was carried out; nobody was there to be told.
    assert node_titles(real_installation) == ["slow"]


def test_huge_chunked_and_compressed_bodies_through_waitress(real_installation: Installation) -> None:
    bob = Client(real_installation.app).sign_in("bob")
    head = (
        f"Host: localhost\r\nCookie: tenantapp={bob.http.cookies['tenantapp']}\r\nX-CSRF-Token: {bob.csrf_token}\r\n"
        "Content-Type: application/json\r\nConnection: close\r\n"
    )
    with serving(real_installation.app) as address:
        body = b'{"title": "' + b"x" * 3_000_000 + b'"}'
        answer = exchange(
            address, f"POST /api/v1/nodes HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        )
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"application/problem+json" in answer
        chunk = b'{"title": "chunked"}'
        answer = exchange(
            address,
            f"POST /api/v1/nodes HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode()
            + f"{len(chunk):x}\r\n".encode()
            + chunk
            + b"\r\n0\r\n\r\n",
        )
        assert answer.startswith(b"HTTP/1.1 201")
        squeezed = gzip.compress(b'{"title": "compressed"}')
        more = f"Content-Encoding: gzip\r\nContent-Length: {len(squeezed)}\r\n"
        answer = exchange(address, f"POST /api/v1/nodes HTTP/1.1\r\n{head}{more}\r\n".encode() + squeezed)
        assert answer.startswith(b"HTTP/1.1 415")
        assert b"\r\nAccept-Encoding: identity\r\n" in answer
        answer = exchange(address, f"GET /api/v1/nodes/%FF HTTP/1.1\r\n{head}\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"application/problem+json" in answer
