"""Batches where everything is really committed, some at once."""

import contextlib
import threading
from typing import Any

from pyramid.response import Response
from sqlalchemy import event, insert, select
from sqlalchemy.exc import IntegrityError

from tenantapp.resources.writing import create_row
from tenantapp.tenancy.models import Change
from tenantapp.workspace.content import NodeContent
from tenantapp.workspace.models import Node, Tag
from tenantapp.workspace.nodes import nodes
from tests.installation import Client, Installation
from tests.transactions.applications import access_to, app_with_api_views, extra_views, node_titles

GOOD = {"method": "POST", "path": "/nodes", "body": {"title": "First"}}


def send(client: Client, *parts: Any) -> Any:
    return client.post("/batch", {"requests": list(parts)})


def add_node(request: Any, title: str) -> None:
    create_row(nodes, request.tenant_session, request.access, NodeContent(title=title))


def written(request: Any) -> dict[str, Any]:
    add_node(request, "written")
    return {}


def raising(request: Any) -> dict[str, Any]:
    add_node(request, "raising")
    raise RuntimeError("after writing")


def returning(request: Any) -> Response:
    add_node(request, "returning")
    return Response(status=409)


def conflicting(request: Any) -> dict[str, Any]:
    add_node(request, "conflicting")
    request.tenant_session.flush()
    raise IntegrityError("", {}, ValueError("conflict"))


def vetoed(request: Any) -> dict[str, Any]:
    add_node(request, "vetoed")
    request.response.headers["X-Tm"] = "abort"
    return {}


def doomed(request: Any) -> dict[str, Any]:
    request.tm.doom()
    return {}


def failing_later(request: Any) -> dict[str, Any]:
    request.tenant_session.add(Node(title=None, owner_id=request.access.person.id))
    return {}


def test_a_batch_with_views_of_a_builder_is_kept_or_not(real_installation: Installation) -> None:
    """Whatever a view does to fail, nothing of the batch remains, and no connection stays out."""
    views = [written, raising, returning, conflicting, vetoed, doomed, failing_later]
    with extra_views(plain=written):  # of Pyramid, not of the API
        app = app_with_api_views(real_installation, **{view.__name__: view for view in views})
    bob = Client(app).sign_in("bob", "acme")
    names = ("plain", *(view.__name__ for view in views))
    own = {name: {"method": "POST", "path": f"/x/{name}"} for name in names}
    for name, status, part in (
        ("raising", 500, 1), ("returning", 409, 1), ("conflicting", 409, 1), ("failing_later", 409, 1),
        ("vetoed", 422, None), ("doomed", 422, None), ("plain", 422, None),
    ):  # fmt: skip
        request = {"requests": [GOOD, own[name], GOOD]}
        headers = {"X-CSRF-Token": bob.csrf_token}
        answer = bob.http.post_json("/api/v1/batch", request, headers=headers, expect_errors=True)
        assert (answer.status_int, answer.json.get("part")) == (status, part), answer.text
        assert real_installation.checkedout() == 0
    assert node_titles(real_installation) == []
    assert send(bob, GOOD, own["written"]).status_int == 200
    assert sorted(node_titles(real_installation)) == ["First", "written"]
    with real_installation.registry.tenant_dbs.begin(access_to(real_installation, "acme"), read_only=True) as session:
        changes = session.execute(select(Change.kind, Change.person_name, Change.at)).all()
        assert [tuple(change[:2]) for change in changes] == [("created", "Bob")] * 2
        assert len({change.at for change in changes}) == 1


def test_a_batch_is_bounded(make_installation: Any) -> None:
    with make_installation(**{"api.batch": "2", "api.batch_answer": "1024"}) as installation:
        bob = Client(installation.app).sign_in("bob", "acme")
        assert send(bob, GOOD, GOOD).status_int == 200
        many = send(bob, GOOD, GOOD, GOOD)
        assert (many.status_int, many.json["code"], many.json.get("part")) == (413, "batch_too_large", None)
        large = {"method": "POST", "path": "/nodes", "body": {"title": "x", "body": "x" * 1000}}
        answer = send(bob, GOOD, large)
        assert (answer.status_int, answer.json["code"], answer.json["part"]) == (413, "batch_too_large", 1)
        assert len(node_titles(installation)) == 2
        assert installation.checkedout() == 0


def test_a_batch_that_takes_too_long_begins_no_further_part(make_installation: Any) -> None:
    with make_installation(**{"api.batch_seconds": "0.001"}) as installation:
        bob = Client(installation.app).sign_in("bob", "acme")
        answer = send(bob, *[GOOD] * 50)
        assert (answer.status_int, answer.json["code"], answer.json.get("part")) == (413, "batch_too_large", None)
        assert send(bob, GOOD).status_int == 200
        assert node_titles(installation) == ["First"]


def test_a_batch_that_only_reads_waits_for_no_writer(real_installation: Installation) -> None:
    bob = Client(real_installation.app).sign_in("bob", "acme")
    access = access_to(real_installation, "acme")
    read = {"method": "GET", "path": "/nodes"}
    with real_installation.registry.tenant_dbs.begin(access) as session:
        session.execute(insert(Tag).values(name="not committed yet"))
        assert send(bob, read, read).status_int == 200
    assert real_installation.checkedout() == 0


def test_two_batches_in_opposite_order(real_installation: Installation) -> None:
    """On PostgreSQL they block each other. One is tried again, as a whole."""
    page = Client(real_installation.app).sign_in("bob", "acme")
    paths = [f"/nodes/{page.post('/nodes', {'title': title}).json['id']}" for title in ("a", "b")]
    met = threading.Barrier(2)
    waited: set[int] = set()

    def wait(*_: Any) -> None:
        """Let the other batch change its first row too, if it can."""
        if threading.get_ident() not in waited:
            waited.add(threading.get_ident())
            with contextlib.suppress(threading.BrokenBarrierError):
                met.wait(0.5)

    answers: list[Any] = []

    def change(client: Client, title: str, order: list[str]) -> None:
        parts = [{"method": "PATCH", "path": path, "body": {"title": title}} for path in order]
        answers.append(send(client, *parts))

    event.listen(Node, "after_update", wait)
    try:
        threads = [
            threading.Thread(target=change, args=(page.copy(), *given))
            for given in (("forward", paths), ("backward", paths[::-1]))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        event.remove(Node, "after_update", wait)
    assert {answer.status_int for answer in answers} <= {200, 409}
    assert 200 in {answer.status_int for answer in answers}
    first, second = node_titles(real_installation)
    assert first == second != "a"
    assert real_installation.checkedout() == 0
