"""Tags."""

import pytest

from tests.installation import Client, Installation


@pytest.fixture
def ada(client: Client) -> Client:
    return client.sign_in("ada")


def test_tags_are_counted_renamed_and_deleted(ada: Client) -> None:
    node = ada.post("/nodes", {"title": "x", "tags": ["Green", "blue"]}).json
    assert ada.post("/tags", {"name": "RED"}).json["name"] == "red"
    items = ada.get("/tags").json["items"]
    assert [(tag["name"], tag["nodes"]) for tag in items] == [("blue", 1), ("green", 1), ("red", 0)]
    path = f"/tags/{items[1]['id']}"
    assert ada.get(path).json == items[1]
    assert ada.put(path, {"name": "lime"}).json["name"] == "lime"
    after = ada.get(f"/nodes/{node['id']}").json
    assert after["tags"] == ["blue", "lime"]
    assert after["version"] == 2, "the node looks different, so its ETag has to differ"
    assert ada.delete(path).status_int == 204
    assert ada.get(f"/nodes/{node['id']}").json["tags"] == ["blue"]
    assert ada.get(path).status_int == 404


def test_tags_page_by_name(ada: Client) -> None:
    for name in "cab":
        ada.post("/tags", {"name": name})
    first = ada.get("/tags?limit=2").json
    assert [tag["name"] for tag in first["items"]] == ["a", "b"]
    second = ada.get(f"/tags?limit=2&cursor={first['next']}").json
    assert ([tag["name"] for tag in second["items"]], second["next"]) == (["c"], None)


def test_a_taken_name(ada: Client) -> None:
    ada.post("/tags", {"name": "a"})
    other = ada.post("/tags", {"name": "b"}).json
    assert ada.post("/tags", {"name": "A"}).json["code"] == "already_exists"
    assert ada.put(f"/tags/{other['id']}", {"name": "a"}).status_int == 409


def test_authors_make_tags_and_only_editors_change_them(ada: Client, installation: Installation) -> None:
    bob = Client(installation.app).sign_in("bob")
    tag = bob.post("/tags", {"name": "a"}).json
    assert bob.put(f"/tags/{tag['id']}", {"name": "b"}).json["code"] == "permission_denied"
    assert bob.delete(f"/tags/{tag['id']}").json["code"] == "permission_denied"
    assert ada.get(f"/tags/{tag['id']}").json["name"] == "a"
