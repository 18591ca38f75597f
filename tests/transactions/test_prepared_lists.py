"""Statements that are prepared on the server: each list answers its own rows, whatever was asked before."""

from tests.installation import Client, Installation


def test_no_list_takes_the_statement_of_another(real_installation: Installation) -> None:
    ada = Client(real_installation.app).sign_in("ada")
    top = ada.post("/nodes", {"title": "top"}).json["id"]
    for number in range(3):
        ada.post("/nodes", {"title": f"{number}", "parent_id": top})
    expected = {
        "": 4,
        "parent_id=root": 1,
        "has_parent_id=true": 3,
        "has_parent_id=false": 1,
        "_or=parent_id=root": 1,
        "_fields=id": 4,
        "_sort=-id": 4,
        "q=top": 1,
        "_sort=title,-updated_at": 4,
    }
    for _ in range(3):  # a statement is prepared at its second use on a connection
        found = {query: len(ada.get(f"/nodes?{query}").json["items"]) for query in expected}
        assert found == expected


def test_a_deleted_row_does_not_come_back_with_its_tags(real_installation: Installation) -> None:
    ada, path = Client(real_installation.app).sign_in("ada"), "/nodes/01900000-0000-7000-8000-000000000001"
    cursor = ada.get("/changes").json["cursor"]
    first = ada.put(path, {"title": "first"}, If_None_Match="*")
    changes = ada.get(f"/changes?since={cursor}").json["items"]
    assert [(item["kind"], item["version"]) for item in changes] == [("created", first.json["version"])]
    assert ada.patch(path, {"title": "changed"}).json["version"] == first.json["version"] + 1
    assert ada.delete(path).status_int == 204
    second = ada.put(path, {"title": "second"}, If_None_Match="*")
    assert second.status_int == 201
    assert ada.get(path, If_None_Match=first.headers["ETag"]).status_int == 200
    assert ada.put(path, {"title": "lost"}, If_Match=first.headers["ETag"]).status_int == 412
