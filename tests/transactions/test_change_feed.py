"""``GET /changes``: a client keeps a copy of what it may read."""

import random
import threading
from base64 import urlsafe_b64decode

import orjson
from sqlalchemy import update

from tenantapp.identity.epochs import new_epoch
from tenantapp.identity.models import Tenant
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
