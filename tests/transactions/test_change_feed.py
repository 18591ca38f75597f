"""``GET /changes``: a client keeps a copy of what it may read."""

import random
import threading
from base64 import urlsafe_b64decode

import orjson
from sqlalchemy import delete, update

from tenantapp.identity.epochs import new_epoch
from tenantapp.identity.local_access import local_access
from tenantapp.identity.models import Tenant
from tenantapp.tenancy.models import Change
from tests.follower import Follower
from tests.forgery import forged_cursor
from tests.installation import Client, Installation


def work(client: Client, seed: int) -> None:
    chance, mine = random.Random(seed), []
    for step in range(12):
        if not mine or chance.random() < 0.5:
            answer = client.post("/nodes", {"title": f"{seed} {step}", "tags": [chance.choice("abc")]})
            mine += [answer.json["id"]] if answer.status_int == 201 else []
        elif chance.random() < 0.6:
            client.patch(f"/nodes/{chance.choice(mine)}", {"title": f"{seed} {step} changed"})
        else:
            client.delete(f"/nodes/{mine.pop()}")


def test_a_copy_converges(real_installation: Installation) -> None:
    app = real_installation.app
    writers = [Client(app).sign_in(login, "acme") for login in ("bob", "ada", "both")]
    copy = Follower(Client(app).sign_in("rita", "acme"))
    threads = [threading.Thread(target=work, args=(client, seed)) for seed, client in enumerate(writers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        copy.follow()
    copy.follow()
    assert copy.is_exact()
    assert copy.follow() == []

    tag = writers[1].get("/tags").json["items"][0]["id"]
    assert writers[1].put(f"/tags/{tag}", {"name": "renamed"}).status_int == 200
    found = copy.follow()
    assert {item["resource"] for item in found} == {"nodes", "tags"}
    assert {item["by"]["name"] for item in found} == {"Ada"}
    assert copy.is_exact()


def test_what_goes_with_a_node_is_followed(real_installation: Installation) -> None:
    bob = Client(real_installation.app).sign_in("bob", "acme")
    node = bob.post("/nodes", {"title": "x"}).json["id"]
    file = bob.upload("x.txt", b"x").json["id"]
    made = {
        "nodes": node,
        "comments": bob.post("/comments", {"node_id": node, "text": "x"}).json["id"],
        "attachments": bob.post("/attachments", {"node_id": node, "file_id": file}).json["id"],
    }
    cursor = bob.get("/changes").json["cursor"]
    assert bob.delete(f"/nodes/{node}").status_int == 204
    found = bob.get(f"/changes?since={cursor}").json["items"]
    assert {item["resource"]: item["id"] for item in found} == made
    assert [item["kind"] for item in found] == ["deleted"] * 3


def test_what_cannot_be_followed(real_installation: Installation) -> None:
    app = real_installation.app
    bob, gina = Client(app).sign_in("bob", "acme"), Client(app).sign_in("gina", "globex")
    cursor = bob.get("/changes").json["cursor"]
    bob.post("/nodes", {"title": "a", "tags": ["new"]})
    made = bob.get(f"/changes?since={cursor}").json["items"]
    assert sorted((item["resource"], item["kind"]) for item in made) == [("nodes", "created"), ("tags", "created")]
    before = bob.get("/changes").json["cursor"]
    bob.post("/nodes", {"title": "b", "tags": ["new"]})  # a tag that is there is not created
    assert [item["resource"] for item in bob.get(f"/changes?since={before}").json["items"]] == ["nodes"]
    resources = app.registry.resources
    app.registry.resources = {}
    assert bob.get(f"/changes?since={cursor}").json["items"] == []  # as for who may read none of them
    app.registry.resources = resources
    for wrong in ("x", cursor[:-2], cursor.swapcase(), ""):
        answer = bob.get(f"/changes?since={wrong}")
        assert (answer.status_int, answer.json["code"]) == (400, "invalid_query")
    epoch = orjson.loads(urlsafe_b64decode(cursor + "==")[9:])[0]
    odd = (
        [],
        None,
        5,
        [epoch],
        *([epoch, position] for position in ("x", [], -1, 2**62 + 1, 2**63 - 1, 1e300, 1.0, True)),
    )
    for body in (b"[", b"", b"\xff", *map(orjson.dumps, odd)):
        answer = bob.get(f"/changes?since={forged_cursor('changes', body)}")
        assert (answer.status_int, answer.json["code"]) == (400, "invalid_query"), body
    assert bob.get(f"/changes?since={forged_cursor('changes', orjson.dumps([epoch, 2**62]))}").status_int == 410
    gone = gina.get(f"/changes?since={cursor}")
    assert (gone.status_int, gone.json["code"]) == (410, "changes_gone")
    with real_installation.registry.user_db.begin() as session:
        session.execute(update(Tenant).where(Tenant.slug == "acme").values(epoch=new_epoch()))
    assert bob.get(f"/changes?since={cursor}").status_int == 410
    assert bob.get(f"/changes?since={bob.get('/changes').json['cursor']}").json["items"] == []


def test_the_history_of_a_row(real_installation: Installation) -> None:
    app = real_installation.app
    bob, ada, rita = (Client(app).sign_in(login, "acme") for login in ("bob", "ada", "rita"))
    path = f"/nodes/{bob.post('/nodes', {'title': 'a', 'tags': ['red']}).json['id']}"
    ada.patch(path, {"title": "b"})
    bob.patch(path, {"title": "c"})
    page = rita.get(f"{path}/changes?limit=2").json
    assert [(item["kind"], item["version"], item["by"]["name"]) for item in page["items"]] == [
        ("changed", 3, "Bob"),
        ("changed", 2, "Ada"),
    ]
    assert page["kept_days"] == 30
    last = rita.get(f"{path}/changes?limit=2&cursor={page['next']}").json
    assert [(item["kind"], item["version"]) for item in last["items"]] == [("created", 1)]
    assert last["next"] is None
    tag = rita.get("/tags").json["items"][0]["id"]
    assert [item["kind"] for item in rita.get(f"/tags/{tag}/changes").json["items"]] == ["created"]

    bob.delete(path)
    assert rita.get(path).status_int == 404
    assert [item["kind"] for item in rita.get(f"{path}/changes?limit=1").json["items"]] == ["deleted"]
    forget_changes(real_installation)
    assert rita.get(f"{path}/changes").json["code"] == "not_found"  # neither there nor in the feed
    assert rita.get(f"/tags/{tag}/changes").json["items"] == []


def test_what_has_no_history(real_installation: Installation) -> None:
    app = real_installation.app
    bob, gina = Client(app).sign_in("bob", "acme"), Client(app).sign_in("gina", "globex")
    paths = [f"/nodes/{bob.post('/nodes', {'title': title, 'tags': ['x']}).json['id']}" for title in "ab"]
    bob.patch(paths[0], {"title": "b"})
    assert gina.get(f"{paths[0]}/changes").json["code"] == "not_found"
    tag = bob.get("/tags").json["items"][0]["id"]
    assert bob.get(f"/nodes/{tag}/changes").json["code"] == "not_found"
    assert bob.get("/nodes/x/changes").status_int == 404
    cursor = bob.get(f"{paths[0]}/changes?limit=1").json["next"]
    context = f"changes of nodes {paths[0].removeprefix('/nodes/')}"
    epoch = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[9:])[0]
    odd = [forged_cursor(context, orjson.dumps([epoch, each])) for each in ("x", -1, 2**63, 1.0, True, None, [])]
    for wrong in ("", "x", cursor[:-2], *odd):
        assert bob.get(f"{paths[0]}/changes?cursor={wrong}").json["code"] == "invalid_query", wrong
    assert bob.get(f"{paths[1]}/changes?cursor={cursor}").json["code"] == "invalid_query"
    for query in ("limit=0", "limit=501", "since=x", "limit=1&limit=1"):
        assert bob.get(f"{paths[0]}/changes?{query}").json["code"] == "invalid_query", query
    with real_installation.registry.user_db.begin() as session:
        session.execute(update(Tenant).where(Tenant.slug == "acme").values(epoch=new_epoch()))
    assert bob.get(f"{paths[0]}/changes?cursor={cursor}").json["code"] == "changes_gone"
    assert len(bob.get(f"{paths[0]}/changes").json["items"]) == 2


def forget_changes(installation: Installation) -> None:
    """Delete the log of acme, as if its changes were older than they are kept."""
    registry = installation.registry
    with registry.user_db.begin(read_only=True) as session:
        access = local_access(session, "acme")
    with registry.tenant_dbs.begin(access) as session:
        session.execute(delete(Change))
