"""Nodes: create, read, list, replace, change, delete; who may; and nobody is overwritten."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from tenantapp.identity import users
from tenantapp.identity.local_access import local_access
from tenantapp.sql.ids import uuid7
from tenantapp.workspace.models import Node
from tenantapp.workspace.tree import MAX_DEPTH
from tests.installation import Client, Installation

UNKNOWN_ID = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def bob(installation: Installation) -> Client:
    return Client(installation.app).sign_in("bob")


@pytest.fixture
def ada(installation: Installation) -> Client:
    return Client(installation.app).sign_in("ada")


@pytest.fixture
def rita(installation: Installation) -> Client:
    return Client(installation.app).sign_in("rita")


def make(client: Client, title: str = "A title", **content: Any) -> dict[str, Any]:
    answer = client.post("/nodes", {"title": title, **content})
    assert answer.status_int == 201, answer.text
    node: dict[str, Any] = answer.json
    return node


def test_create_with_defaults(bob: Client) -> None:
    answer = bob.post("/nodes", {"title": "  First  "})
    assert answer.status_int == 201
    node = answer.json
    assert answer.headers["Location"].endswith(f"/api/v1/nodes/{node['id']}")
    assert "-1." in answer.headers["ETag"]
    assert node["title"] == "First"
    assert (node["body"], node["status"], node["parent_id"], node["tags"]) == ("", "draft", None, [])
    assert node["version"] == 1
    assert node["owner"]["name"] == "Bob"
    assert node["created_at"].endswith("Z")
    assert bob.get(f"/nodes/{node['id']}").json == node
    assert set(node) == {
        "id", "title", "body", "status", "parent_id", "owner", "tags", "version", "created_at", "updated_at"
    }  # fmt: skip


def test_create_with_everything(bob: Client) -> None:
    parent = make(bob)
    content = {"title": "Ünïcode 🙂", "body": "# Text\n\twith\r\nlines", "status": "published"}
    node = make(bob, **content, parent_id=parent["id"], tags=["b", "A", "b"])
    assert {name: node[name] for name in content} == content
    assert node["parent_id"] == parent["id"]
    assert node["tags"] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        ({}, "/title"),
        ({"title": ""}, "/title"),
        ({"title": " \t "}, "/title"),
        ({"title": "two\nlines"}, "/title"),
        ({"title": "x" * 201}, "/title"),
        ({"title": 1}, "/title"),
        ({"title": "x", "body": None}, "/body"),
        ({"title": "x", "body": "x" * 100_001}, "/body"),
        ({"title": "x", "status": "unknown"}, "/status"),
        ({"title": "x", "parent_id": "no-id"}, "/parent_id"),
        ({"title": "x", "parent_id": 7}, "/parent_id"),
        ({"title": "x", "parent_id": UNKNOWN_ID}, "/parent_id"),
        ({"title": "x", "parent_id": "{" + UNKNOWN_ID + "}"}, "/parent_id"),
        ({"title": "x", "tags": "a"}, "/tags"),
        ({"title": "x", "tags": [""]}, "/tags/0"),
        ({"title": "x", "tags": ["ok", "x" * 51]}, "/tags/1"),
        ({"title": "x", "tags": ["a\nb"]}, "/tags/0"),
        ({"title": "x", "tags": [str(n) for n in range(51)]}, "/tags"),
        ({"title": "x", "owner": {}}, "/owner"),
        ({"title": "x", "a/b~c": 1}, "/a~1b~0c"),
        ({"title": "nul\0"}, "/title"),
        ({"title": "x", "tags": ["a", "nul\0"]}, "/tags/1"),
    ],
)
def test_invalid_content_is_refused_with_a_pointer(bob: Client, content: dict[str, Any], pointer: str) -> None:
    answer = bob.post("/nodes", content)
    assert (answer.status_int, answer.json["code"]) == (422, "invalid"), answer.text
    assert answer.json["errors"][0]["pointer"] == pointer
    assert bob.get("/nodes").json["items"] == []


def test_pages_follow_each_other_without_gap_or_repeat(bob: Client) -> None:
    made = [make(bob, f"Node {number}")["id"] for number in range(7)]
    seen, path = [], "/nodes?limit=3"
    for _ in range(3):
        page = bob.get(path).json
        seen += [node["id"] for node in page["items"]]
        path = f"/nodes?limit=3&cursor={page['next']}"
    assert seen == made
    assert page["next"] is None
    assert bob.get("/nodes?limit=7").json["next"] is None


def test_the_list_can_be_narrowed(bob: Client, ada: Client) -> None:
    root = make(bob, "root", status="published", tags=["x"])
    child = make(ada, "child", parent_id=root["id"], tags=["x", "y"])

    def titles(query: str) -> list[str]:
        return [node["title"] for node in bob.get(f"/nodes?{query}").json["items"]]

    assert titles("status=published") == ["root"]
    assert titles("status=archived") == []
    assert titles("tag=y") == ["child"]
    assert titles("tag=X") == ["root", "child"]
    assert titles(f"owner_id={child['owner']['id']}") == ["child"]
    assert titles(f"parent_id={root['id']}") == ["child"]
    assert titles("parent_id=root") == ["root"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "limit=1&limit=2", "limit=1_0", "limit=5.0", "limit=+5", "limit=%2B5",
     "limit=%205", "limit=5%0A", "limit=05", "limit=%D9%A5", "limit=%EF%BC%91", "limit=1e1", "limit=NaN", "limit=true",
     "limit=", "Limit=5", "cursor=!", "cursor=eA", "unknown=1", "status=x",
     "parent_id=x", "tag=", "cursor=%00", "tag=%00", "%00=1", "cursor=%FF", "limit=%FF", "owner_id=1"],
)  # fmt: skip
def test_a_bad_query_is_refused(bob: Client, query: str) -> None:
    answer = bob.get(f"/nodes?{query}")
    assert (answer.status_int, answer.json["code"]) == (400, "invalid_query"), answer.text


def test_put_replaces(bob: Client) -> None:
    node = make(bob, body="text", status="published", tags=["a"])
    answer = bob.put(f"/nodes/{node['id']}", {"title": "New"})
    assert answer.status_int == 200
    changed = answer.json
    assert (changed["title"], changed["body"], changed["status"], changed["tags"]) == ("New", "", "draft", [])
    assert changed["version"] == 2
    assert answer.headers["ETag"].partition(".")[0].endswith("-2")
    assert changed["updated_at"] > node["updated_at"]
    assert changed["created_at"] == node["created_at"]


def test_patch_changes_only_what_it_names(bob: Client) -> None:
    parent = make(bob)
    node = make(bob, body="text", status="published", tags=["a"], parent_id=parent["id"])
    changed = bob.patch(f"/nodes/{node['id']}", {"title": "New"}).json
    assert changed == node | {"title": "New", "version": 2, "updated_at": changed["updated_at"]}
    # RFC 7396: null removes, and what is not there has its default.
    changed = bob.patch(f"/nodes/{node['id']}", {"parent_id": None, "tags": None, "body": None}).json
    assert (changed["parent_id"], changed["tags"], changed["body"]) == (None, [], "")
    assert bob.patch(f"/nodes/{node['id']}", {"title": None}).json["errors"][0]["pointer"] == "/title"


def test_tags_alone_count_as_a_change_and_nothing_counts_as_none(bob: Client) -> None:
    node = make(bob, tags=["a"])
    assert bob.patch(f"/nodes/{node['id']}", {"tags": ["a", "b"]}).json["version"] == 2
    assert bob.patch(f"/nodes/{node['id']}", {"tags": ["b", "a"]}).json["version"] == 2
    assert bob.patch(f"/nodes/{node['id']}", {}).json["version"] == 2


def test_merge_patch_media_type(bob: Client) -> None:
    node = make(bob)
    answer = bob.http.patch(
        f"/api/v1/nodes/{node['id']}",
        b'{"title": "New"}',
        headers={"X-CSRF-Token": bob.csrf_token, "Content-Type": "application/merge-patch+json"},
    )
    assert answer.json["title"] == "New"


@pytest.mark.parametrize(
    "patch",
    [{"version": 7}, {"id": UNKNOWN_ID}, {"owner": {"name": "x"}}, {"title": {"a": 1}},
     {"id": None}, {"parent": None}, {"version": None}, {"a/b": None}],
)  # fmt: skip
def test_an_invalid_patch_is_refused(bob: Client, patch: dict[str, Any]) -> None:
    node = make(bob)
    answer = bob.patch(f"/nodes/{node['id']}", patch)
    assert answer.status_int == 422
    assert answer.json["errors"][0]["pointer"].startswith(f"/{next(iter(patch)).replace('/', '~1')}")
    assert bob.get(f"/nodes/{node['id']}").json == node


@pytest.mark.parametrize(
    "title", ["\U0001f468\u200d\U0001f469", "\u0645\u06cc\u200c\u062e", "\u6771\u3000\u4eac", "1\u00a0km"]
)
def test_titles_and_tags_in_every_language(bob: Client, title: str) -> None:
    node = make(bob, title, tags=[title], body=f"{title}\u2067\u2069\n")
    assert (node["title"], node["tags"]) == (title, [title])
    assert bob.get(f"/nodes?tag={quote(title)}").json["items"] == [node]


@pytest.mark.parametrize("character", ["\x1b", "\x7f", "\x85", "\u202e", "\u2066", "\u2028", "\ufffe"])
def test_what_a_line_may_not_have_is_named(bob: Client, character: str) -> None:
    for content, pointer in (
        ({"title": f"a{character}b"}, "/title"),
        ({"title": "x", "tags": [f"a{character}b"]}, "/tags/0"),
    ):
        [error] = bob.post("/nodes", content).json["errors"]
        assert error["pointer"] == pointer
        assert f"U+{ord(character):04X}" in error["detail"]


@pytest.mark.parametrize("character", ["\x1b", "\x0b", "\u202e"])
def test_a_body_has_no_controls_and_no_overrides(bob: Client, character: str) -> None:
    answer = bob.post("/nodes", {"title": "x", "body": f"a{character}b"})
    assert (answer.status_int, answer.json["errors"][0]["pointer"]) == (422, "/body")


def test_a_patch_checks_only_what_it_changes(bob: Client, installation: Installation) -> None:
    """What was stored under other rules stays, and does not stand in the way."""
    node = make(bob, tags=["a"])
    with installation.registry.user_db.begin(read_only=True) as session:
        access = local_access(session, "acme")
    with installation.registry.tenant_dbs.begin(access) as session:
        stored = session.get_one(Node, UUID(node["id"]))
        stored.title, stored.body, stored.tags[0].name = "\u202eold", "\x07", "\u202etag"
    changed = bob.patch(f"/nodes/{node['id']}", {"status": "published"})
    assert changed.status_int == 200, changed.text
    assert (changed.json["title"], changed.json["body"], changed.json["tags"]) == ("\u202eold", "\x07", ["\u202etag"])
    assert bob.patch(f"/nodes/{node['id']}", {"title": "\u202enew"}).status_int == 422
    assert bob.patch(f"/nodes/{node['id']}", {"tags": ["b"]}).json["tags"] == ["b"]


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_somebody_elses_node_is_not_changed(ada: Client, bob: Client, method: str) -> None:
    node = make(ada)
    body = {} if method == "delete" else {"json": {"title": "Mine now"}}
    answer = getattr(bob, method)(f"/nodes/{node['id']}", **body)
    assert (answer.status_int, answer.json["code"]) == (403, "not_owner")
    assert bob.get(f"/nodes/{node['id']}").json == node


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_reader_reads(bob: Client, rita: Client, method: str) -> None:
    node = make(bob)
    assert rita.get(f"/nodes/{node['id']}").json == node
    body = {} if method == "delete" else {"json": {"title": "Mine now"}}
    answer = getattr(rita, method)(f"/nodes/{node['id']}", **body)
    assert (answer.status_int, answer.json["code"]) == (403, "permission_denied")
    assert rita.post("/nodes", {"title": "x"}).json["code"] == "permission_denied"
    assert bob.get("/nodes").json["items"] == [node]


def test_an_editor_changes_any(bob: Client, installation: Installation) -> None:
    node = make(bob)
    editor = Client(installation.app).sign_in("ed")
    changed = editor.patch(f"/nodes/{node['id']}", {"title": "Edited"}).json
    assert (changed["title"], changed["owner"]["name"]) == ("Edited", "Bob")
    assert editor.delete(f"/nodes/{node['id']}").status_int == 204
    assert bob.get(f"/nodes/{node['id']}").status_int == 404


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
@pytest.mark.parametrize("node_id", [UNKNOWN_ID, "no-id", "-" * 36, "%00", "1 OR 1=1"])
def test_what_is_not_there(bob: Client, method: str, node_id: str) -> None:
    body = {} if method in ("get", "delete") else {"json": {"title": "x"}}
    answer = getattr(bob, method)(f"/nodes/{node_id}", **body)
    assert answer.status_int == 404
    assert answer.content_type == "application/problem+json"


def test_ids_are_read_in_either_case_and_written_in_lower_case(bob: Client) -> None:
    """RFC 9562, section 4."""
    parent = make(bob)
    upper, owner = parent["id"].upper(), parent["owner"]["id"].upper()
    child = make(bob, parent_id=upper)
    assert child["parent_id"] == parent["id"]
    assert bob.get(f"/nodes/{upper}").json == parent
    assert bob.patch(f"/nodes/{child['id'].upper()}", {"parent_id": upper}).json == child
    assert bob.get(f"/nodes?parent_id={upper}&owner_id={owner}").json["items"] == [child]
    assert bob.delete(f"/nodes/{child['id'].upper()}").status_int == 204


@pytest.mark.parametrize("spelling", ["{%s}", "urn:uuid:%s", " %s", "%s\n", "%s0"])
def test_ids_have_one_spelling(bob: Client, spelling: str) -> None:
    for odd in (spelling % UNKNOWN_ID, UNKNOWN_ID.replace("-", ""), UNKNOWN_ID.replace("0", "\u0660")):
        assert bob.get(f"/nodes/{quote(odd)}").status_int == 404
        refused = bob.post("/nodes", {"title": "x", "parent_id": odd})
        assert refused.json["errors"][0]["detail"] == "An id is a UUID with dashes."
        assert bob.get(f"/nodes?parent_id={quote(odd)}").json["code"] == "invalid_query"


def test_ids_of_another_tenant_are_not_found(bob: Client, installation: Installation) -> None:
    node = make(bob)
    gina = Client(installation.app).sign_in("gina")
    assert gina.get(f"/nodes/{node['id']}").status_int == 404
    assert gina.patch(f"/nodes/{node['id']}", {"title": "x"}).status_int == 404
    assert gina.delete(f"/nodes/{node['id']}").status_int == 404
    assert gina.post("/nodes", {"title": "x", "parent_id": node["id"]}).status_int == 422
    assert gina.get("/nodes").json["items"] == []


def test_the_tree_has_no_circles(bob: Client) -> None:
    top = make(bob, "top")
    middle = make(bob, "middle", parent_id=top["id"])
    leaf = make(bob, "leaf", parent_id=middle["id"])
    for parent in (top, middle, leaf):
        answer = bob.patch(f"/nodes/{top['id']}", {"parent_id": parent["id"]})
        assert (answer.status_int, answer.json["errors"][0]["pointer"]) == (422, "/parent_id")
    assert bob.patch(f"/nodes/{leaf['id']}", {"parent_id": top["id"]}).status_int == 200


def test_the_tree_has_a_limit(installation: Installation, bob: Client) -> None:
    with installation.registry.user_db.begin() as session:
        access = local_access(session, "acme")

    def chain(length: int) -> list[str]:
        ids = [make(bob)["id"]]
        with installation.registry.tenant_dbs.begin(access) as session:
            owner = session.get_one(Node, UUID(ids[0])).owner_id
            given = {"owner_id": owner, "title": "x", "body": "", "status": "draft"}
            for _ in range(length - 1):
                node = Node(id=uuid7(), parent_id=UUID(ids[-1]), **given)
                session.add(node)
                session.flush()
                ids.append(str(node.id))
        return ids

    deepest = chain(MAX_DEPTH)
    answer = bob.post("/nodes", {"title": "x", "parent_id": deepest[-1]})
    assert (answer.status_int, answer.json["errors"][0]["pointer"]) == (422, "/parent_id")
    moved = chain(2)
    assert bob.patch(f"/nodes/{moved[0]}", {"parent_id": deepest[-2]}).status_int == 422
    assert bob.patch(f"/nodes/{moved[0]}", {"parent_id": deepest[-3]}).status_int == 200
    assert bob.patch(f"/nodes/{moved[0]}", {"parent_id": None}).status_int == 200


@pytest.mark.parametrize("title", ["\u0958" * 200, "\ufb2c" * 67, "\U0001d160" * 200])
def test_a_title_that_grows_when_normalized_is_measured_afterwards(bob: Client, title: str) -> None:
    answer = bob.post("/nodes", {"title": title})
    assert (answer.status_int, answer.json["errors"][0]["pointer"]) == (422, "/title")


def test_a_patch_with_nested_objects(bob: Client) -> None:
    node = make(bob)
    patch = b'{"title": ' + b'{"a":' * 1000 + b"1" + b"}" * 1001
    headers = {"X-CSRF-Token": bob.csrf_token, "Content-Type": "application/json"}
    answer = bob.http.patch(f"/api/v1/nodes/{node['id']}", patch, headers=headers, expect_errors=True)
    assert answer.status_int == 422
    assert bob.get(f"/nodes/{node['id']}").json == node


@pytest.mark.parametrize("value", ["bytes=-", "bytes=0-1", "bytes=99999-", "nonsense"])
def test_ranges_are_ignored(bob: Client, value: str) -> None:
    node = bob.post("/nodes", {"title": "x"}, Range=value)
    assert node.status_int == 201
    path = f"/nodes/{node.json['id']}"
    assert bob.get(path, Range=value).json == node.json
    assert bob.patch(path, {"title": "y"}, Range=value).json["version"] == 2


def test_only_a_leaf_is_deleted(bob: Client) -> None:
    top = make(bob)
    leaf = make(bob, parent_id=top["id"])
    answer = bob.delete(f"/nodes/{top['id']}")
    assert (answer.status_int, answer.json["code"]) == (409, "node_has_children")
    assert bob.delete(f"/nodes/{leaf['id']}").status_int == 204
    assert bob.delete(f"/nodes/{top['id']}").status_int == 204


def test_owner_names_follow_when_the_owner_writes(bob: Client, installation: Installation) -> None:
    node = make(bob)
    with installation.registry.user_db.begin() as session:
        users.get_user(session, "bob").name = "Robert"
    make(bob)
    assert bob.get(f"/nodes/{node['id']}").json["owner"]["name"] == "Robert"


def test_a_model_asks_the_session_it_belongs_to(bob: Client, installation: Installation) -> None:
    top = make(bob, tags=["top"])
    leaf = make(bob, tags=["leaf"], parent_id=top["id"])
    with installation.registry.user_db.begin(read_only=True) as user_session:
        access = local_access(user_session, "acme", login="bob")
    with installation.registry.tenant_dbs.begin(access) as session:
        node = session.get_one(Node, UUID(leaf["id"]))
        assert [tag.name for tag in node.all_tags()] == ["leaf", "top"]
        assert [above.title for above in node.ancestors()] == ["A title"]
        session.expunge(node)
        with pytest.raises(RuntimeError):
            node.all_tags()


def test_a_search_is_measured_before_its_words_are_counted(bob: Client) -> None:
    assert "at most 500 characters" in bob.get("/nodes?q=" + "x%20y%20" * 600).json["detail"]
