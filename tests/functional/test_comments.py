"""Comments and attachments of nodes, and what holds for every field that is a file."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Column, ForeignKey, MetaData, Table, select

from tenantapp.files.rows import delete_unused_file
from tenantapp.files.storage import open_storage
from tenantapp.fleet.copying.private_data import _remove_people
from tenantapp.resources import Display, Resource
from tenantapp.resources.checking import check_declaration
from tenantapp.resources.declaration import DeclarationError
from tenantapp.resources.describing import describe_resource
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.models import TenantFile
from tenantapp.workspace.comments import comments
from tests.installation import Client, Installation, StatementRecorder


@pytest.fixture
def bob(client: Client) -> Client:
    """An author in acme, as `both` is. Others are signed in from here."""
    return client.sign_in("bob", "acme")


def other(installation: Installation, login: str, tenant: str = "acme") -> Client:
    return Client(installation.app).sign_in(login, tenant)


def node_of(person: Client) -> str:
    return str(person.post("/nodes", {"title": "Anvils"}).json["id"])


def attached(person: Client, node: str, file: str) -> Any:
    return person.post("/attachments", {"node_id": node, "file_id": file})


def uploaded(person: Client, name: str = "plan.pdf") -> str:
    return str(person.upload(name, b"plan", "application/pdf").json["id"])


def stored(installation: Installation) -> set[UUID]:
    access = installation.local_access("acme")
    return set(open_storage(installation.registry.app_settings).sizes(access.require_tenant().id))


def test_a_node_is_commented(installation: Installation, bob: Client) -> None:
    node, elsewhere = node_of(bob), node_of(bob)
    first = bob.post("/comments", {"node_id": node, "text": "Lighter!\n\nMuch."})
    assert first.status_int == 201
    assert set(first.json) == {"id", "node_id", "text", "owner", "version", "created_at", "updated_at"}
    both = other(installation, "both")
    second = both.post("/comments", {"node_id": node, "text": "Why?"}).json
    bob.post("/comments", {"node_id": elsewhere, "text": "Not here."})
    found = other(installation, "rita").get(f"/comments?node_id={node}").json["items"]
    assert [(each["text"], each["owner"]["name"]) for each in found] == [("Lighter!\n\nMuch.", "Bob"), ("Why?", "Both")]
    assert bob.patch(f"/comments/{first.json['id']}", {"text": "Heavier!"}).json["version"] == 2
    for refused in (bob.patch(f"/comments/{second['id']}", {"text": "x"}), bob.delete(f"/comments/{second['id']}")):
        assert (refused.status_int, refused.json["code"]) == (403, "not_owner")
    assert other(installation, "ed").delete(f"/comments/{second['id']}").status_int == 204
    assert bob.get(f"/nodes/{node}").json["version"] == 1


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "x" * 10_001, "a\x00b"])
def test_a_comment_says_something(bob: Client, text: str) -> None:
    refused = bob.post("/comments", {"node_id": node_of(bob), "text": text})
    assert (refused.status_int, [each["pointer"] for each in refused.json["errors"]]) == (422, ["/text"])


def test_a_file_is_attached_and_shown_in_one_statement(installation: Installation, bob: Client) -> None:
    node, file = node_of(bob), uploaded(bob)
    made = attached(bob, node, file)
    assert made.status_int == 201
    assert {name: made.json[name] for name in ("file_id", "name", "media_type", "size", "owner")} == {
        "file_id": file,
        "name": "plan.pdf",
        "media_type": "application/pdf",
        "size": 4,
        "owner": made.json["owner"],
    }
    attached(bob, node, uploaded(bob, "b.pdf"))
    bob.get(f"/attachments?node_id={node}")  # how large the table is, is asked once
    [entry] = installation.registry.tenant_dbs._entries.values()
    with StatementRecorder(entry.factory.real) as recorded:
        items = bob.get(f"/attachments?node_id={node}").json["items"]
    assert [each["name"] for each in items] == ["plan.pdf", "b.pdf"]
    assert len(recorded) == 1
    assert bob.patch(f"/attachments/{made.json['id']}", {"file_id": file}).status_int == 405


def test_several_files_are_asked_for_at_once(bob: Client) -> None:
    files = [uploaded(bob, f"{number}.pdf") for number in range(3)]
    found = bob.get(f"/files?ids={files[0]},{files[2]},{uuid7()}").json
    assert ([each["id"] for each in found["items"]], found["next"]) == ([files[2], files[0]], None)
    assert bob.get("/files?ids=x").json["code"] == "invalid_query"


def test_the_id_of_no_file_of_the_tenant_is_refused(installation: Installation, bob: Client) -> None:
    node, of_globex = node_of(bob), uploaded(other(installation, "gina", "globex"))
    for file in (str(uuid7()), of_globex, node):
        refused = attached(bob, node, file)
        assert (refused.status_int, refused.json["code"]) == (422, "invalid_reference")
        assert [each["pointer"] for each in refused.json["errors"]] == ["/file_id"]
    assert attached(bob, str(uuid7()), uploaded(bob)).json["errors"][0]["pointer"] == "/node_id"


def test_a_file_goes_with_its_last_attachment(installation: Installation, bob: Client) -> None:
    node, file = node_of(bob), uploaded(bob)
    first, second = (attached(bob, node, file).json["id"] for _ in range(2))
    in_use = bob.delete(f"/files/{file}")
    assert (in_use.status_int, in_use.json["code"]) == (409, "in_use")
    assert bob.delete(f"/attachments/{first}").status_int == 204
    assert bob.get(f"/files/{file}/content").body == b"plan"
    assert bob.delete(f"/attachments/{second}").status_int == 204
    assert bob.get(f"/files/{file}").status_int == 404
    assert UUID(file) not in stored(installation)


def test_who_may_not_delete_a_file_leaves_it(installation: Installation, bob: Client) -> None:
    both = other(installation, "both")
    file = uploaded(both)
    attachment = attached(bob, node_of(bob), file).json["id"]
    assert bob.delete(f"/attachments/{attachment}").status_int == 204
    assert both.delete(f"/files/{file}").status_int == 204


def test_comments_and_attachments_go_with_their_node(installation: Installation, bob: Client) -> None:
    node, file = node_of(bob), uploaded(bob)
    said = bob.post("/comments", {"node_id": node, "text": "x"}).json["id"]
    of_both = other(installation, "both").post("/comments", {"node_id": node, "text": "y"}).json["id"]
    attachment = attached(bob, node, file).json["id"]
    assert bob.delete(f"/nodes/{node}").status_int == 204
    for path in (f"/comments/{said}", f"/comments/{of_both}", f"/attachments/{attachment}", f"/files/{file}"):
        assert bob.get(path).status_int == 404


def test_a_file_whose_removal_is_rolled_back_keeps_its_bytes(installation: Installation, bob: Client) -> None:
    kept, gone = uploaded(bob), uploaded(bob)
    with installation.registry.tenant_dbs.begin(installation.local_access("acme")) as session:
        access = installation.local_access("acme")
        savepoint = session.begin_nested()
        assert delete_unused_file(session, access, UUID(kept))
        savepoint.rollback()
        assert delete_unused_file(session, access, UUID(gone))
    assert bob.get(f"/files/{kept}/content").body == b"plan"
    assert UUID(gone) not in stored(installation)


def test_a_file_is_deleted_in_a_batch_that_is_committed(installation: Installation, bob: Client) -> None:
    kept, gone = uploaded(bob), uploaded(bob)
    for file, other in (
        (kept, {"method": "GET", "path": f"/nodes/{uuid7()}"}),
        (gone, {"method": "GET", "path": "/tags"}),
    ):
        bob.post("/batch", {"requests": [{"method": "DELETE", "path": f"/files/{file}"}, other]})
    assert bob.get(f"/files/{kept}/content").body == b"plan"
    assert UUID(gone) not in stored(installation)


def test_a_copy_without_people_has_rows_without_their_files(installation: Installation, bob: Client) -> None:
    pictures = Table("pictures", MetaData(), Column("file_id", ForeignKey(TenantFile.id)))
    file = uploaded(bob)
    with installation.registry.tenant_dbs.begin(installation.local_access("acme")) as session:
        pictures.create(session.connection())
        session.execute(pictures.insert(), {"file_id": UUID(file)})
        _remove_people(session, pictures.metadata)
        assert session.execute(select(pictures)).all() == [(None,)]
    assert bob.get(f"/files/{file}").status_int == 404


def test_the_document_says_what_is_a_file_and_what_is_shown_within(bob: Client) -> None:
    described = {tag["name"]: tag.get("x-resource") for tag in bob.get("/openapi.json").json["tags"]}
    assert described["attachments"]["files"] == ["file_id"]
    assert described["attachments"]["references"] == {"node_id": "nodes"}
    within = {"member": "node_id", "filter": "node_id", "resource": "nodes"}
    assert described["attachments"]["within"] == described["comments"]["within"] == within
    assert (described["nodes"]["within"], described["nodes"]["files"]) == (None, [])
    assert describe_resource(comments, {"comments": comments}, None)["within"] is None


@pytest.mark.parametrize(("within", "filters"), [("text", comments.filters), ("node_id", {}), ("nodes", {})])
def test_what_rows_are_shown_within_is_a_reference_with_a_filter(within: str, filters: dict[str, Any]) -> None:
    wrong = Resource(
        "remarks", comments.model, body=comments.body, filters=filters, read="r", write="w",
        owner=comments.owner, display=Display(within=within),
    )  # fmt: skip
    with pytest.raises(DeclarationError, match=f"no member {within} that refers to the rows of another table"):
        check_declaration(wrong)
