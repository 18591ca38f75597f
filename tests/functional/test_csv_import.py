"""Rows of a CSV file are added to a declared resource: all, or none, and each wrong line is named."""

from dataclasses import replace
from typing import Any

import pytest

from tests.csv_files import PATH, send
from tests.file_limits import files_no_larger_than
from tests.functional.operators import code
from tests.installation import Client, Installation, StatementRecorder
from tests.shop import AFTER

HEAD = "sku,name,price_cents"


@pytest.fixture
def bob(shop: Installation) -> Client:
    return Client(shop.app).sign_in("bob", "acme")


def skus(client: Client) -> list[str]:
    return [row["sku"] for row in client.get("/products").json["items"]]


def faults(answer: Any) -> list[tuple[int, str | None]]:
    """The line and the column of each fault."""
    assert code(answer) == (422, "invalid_csv"), answer.text
    return [(each["line"], each["column"]) for each in answer.json["lines"]]


def bounded(shop: Installation, **bounds: Any) -> None:
    shop.app.registry.app_settings = replace(shop.app.registry.app_settings, **bounds)


@pytest.fixture(autouse=True)
def _same_settings(shop: Installation) -> Any:
    settings = shop.app.registry.app_settings
    yield
    shop.app.registry.app_settings = settings


def test_rows_are_added_as_one_by_one(bob: Client, shop: Installation) -> None:
    supplier = bob.post("/suppliers", {"name": "Acme"}).json["id"]
    AFTER.clear()
    answer = send(
        bob,
        [
            "\ufeffsku, name ,price_cents,supplier_id,active,size,kind",
            f'a1,"Anvil, ""heavy""\u00fc",900,{supplier},TRUE,large,',
            "",
            "b2,=HYPERLINK(1),5,,false,,service",
        ],
    )
    assert (answer.status_int, answer.json) == (200, {"created": 2, "dry_run": False})
    first, second = bob.get("/products").json["items"]
    expected = {"sku": "a1", "name": 'Anvil, "heavy"\u00fc', "price_cents": 900, "supplier_id": supplier}
    assert {name: first[name] for name in expected} == expected
    assert (first["active"], first["size"], first["kind"], first["version"]) == (True, "large", "thing", 1)
    assert (second["name"], second["active"], second["size"], second["supplier_id"]) == (
        "=HYPERLINK(1)", False, None, None,
    )  # fmt: skip
    assert {row["owner_id"] for row in (first, second)} == {bob.get("/session").json["user"]["id"]}
    assert AFTER == ["create a1 1", "create b2 1"]
    tags = send(bob, ["title,tags", 'One,"red; blue ;"', 'Two,"[""a;b""]"'], "/nodes/import")
    assert tags.status_int == 200, tags.text
    assert [(node["title"], node["tags"]) for node in bob.get("/nodes?_sort=title").json["items"]] == [
        ("One", ["blue", "red"]), ("Two", ["a;b"]),
    ]  # fmt: skip


def test_every_wrong_line_is_named_and_none_is_added(bob: Client) -> None:
    bob.post("/products", {"sku": "taken", "name": "x", "price_cents": 1})
    answer = send(
        bob,
        [
            f"{HEAD},kind,supplier_id",
            "good,x,1,,",
            "n1,x,ten,,",
            "n2,x,1",
            "taken,x,1,,",
            "free,x,0,service,",
            "good,x,1,,",
            'n3,"two\nlines",-1,,',
            f"{'s' * 21},x,1,,",
            "n4,x,1,,00000000-0000-0000-0000-000000000000",
            "n5,x,1,,x",
            "n6,a\0b,1,,",
            "n7,,99999999999999999999,,",
        ],
    )
    assert faults(answer) == [
        (3, "price_cents"), (4, None), (5, "sku"), (6, "price_cents"), (7, "sku"), (8, "name"), (8, "price_cents"),
        (10, "sku"), (11, "supplier_id"), (12, "supplier_id"), (13, "name"), (14, "name"), (14, "price_cents"),
    ]  # fmt: skip
    assert answer.json["wrong"] == 11
    assert skus(bob) == ["taken"]


def test_rows_without_hooks_are_sent_together(bob: Client, shop: Installation) -> None:
    bob.post("/suppliers", {"name": "Taken"})
    wrong = send(bob, ["name", "One", "Taken", "Two", "One"], "/suppliers/import")
    assert faults(wrong) == [(3, "name"), (5, "name")]
    entry = shop.registry.tenant_dbs._factory(shop.local_access("acme").require_tenant())
    texts = [f"Paid {number}" for number in range(30)]
    with StatementRecorder(entry.real) as recorded:
        assert send(bob, ["text", *texts], "/entries/import").json["created"] == 30
    assert len([each for each in recorded.statements if each.startswith("INSERT INTO entries")]) == 1
    assert [row["text"] for row in bob.get("/entries").json["items"]] == texts
    assert [row["name"] for row in bob.get("/suppliers").json["items"]] == ["Taken"]


def test_a_dry_run_checks_all_of_it_and_keeps_nothing(bob: Client) -> None:
    good, bad = [HEAD, "a1,x,1"], [HEAD, "a1,x,1", "a1,x,1"]
    headers = {"Idempotency_Key": "dry"}
    for _ in range(2):
        answer = send(bob, good, f"{PATH}?dry_run=true", **headers)
        assert (answer.status_int, answer.json) == (200, {"created": 1, "dry_run": True})
        assert faults(send(bob, bad, f"{PATH}?dry_run=true")) == [(3, "sku")]
    assert skus(bob) == []
    assert send(bob, good).json == {"created": 1, "dry_run": False}


def test_sent_again_with_its_key_it_is_carried_out_once(bob: Client) -> None:
    first = send(bob, [HEAD, "a1,x,1"], Idempotency_Key="once")
    again = send(bob, [HEAD, "a1,x,1"], Idempotency_Key="once")
    assert (again.json, again.headers["Idempotency-Replayed"]) == (first.json, "true")
    assert code(send(bob, [HEAD, "a2,x,1"], Idempotency_Key="once")) == (422, "idempotency_mismatch")
    assert skus(bob) == ["a1"]


@pytest.mark.parametrize(
    ("body", "line", "reason"),
    [
        (b"", 1, "The file is empty. The first line names columns of products: sku, name"),
        (b"sku,colour\r\na,b\r\n", 1, "and not colour"),
        (b"id,sku\r\na,b\r\n", 1, "and not id"),
        (b"sku,sku\r\na,b\r\n", 1, "The column sku is there twice."),
        (b"sku,\r\na,b\r\n", 1, "and not an empty one"),
        (b"sku;name;price_cents\r\na;b;1\r\n", 1, "and not sku;name;price_cents"),
        ("sku,name,price_cents\r\na,b\u00fc,1\r\n".encode("latin-1"), 2, "It may be in Latin-1 or Windows-1252"),
        ("sku,name,price_cents\r\na,b,1\r\n".encode("utf-16"), 1, "not in UTF-8"),
        (b'sku,name,price_cents\r\n"a"b,b,1\r\n', 2, "A quotation mark is missing"),
        (b'sku,name,price_cents\r\na,b,1\r\n"c,b,1\r\n', 3, "A quotation mark is missing"),
        (b"sku,name,price_cents\ra,b,1\r", 1, "Lines must end in LF or CR LF"),
        (HEAD.encode() + b"\r\n" + b"x" * 200_000, 2, "A value may have at most 131072 characters"),
        (HEAD.encode() + b"\r\n" + b"," * 2_000_000, 2, "A record may have at most 1048576 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_in_one_sentence(bob: Client, body: bytes, line: int, reason: str) -> None:
    answer = send(bob, body)
    assert faults(answer) == [(line, None)]
    assert reason in answer.json["lines"][0]["detail"]
    assert answer.json["detail"].startswith(f"In line {line}: ")
    assert skus(bob) == []


def test_only_so_many_faults_are_listed(bob: Client) -> None:
    answer = send(bob, [HEAD, *(f"a{number},x,y" for number in range(250))])
    assert (len(faults(answer)), answer.json["wrong"]) == (100, 250)


def test_what_is_too_much_is_refused(bob: Client, shop: Installation) -> None:
    assert code(send(bob, [HEAD, "a1,x,1"], media_type="application/json")) == (415, "unsupported_media_type")
    latin = send(bob, [HEAD, "a1,x,1"], media_type="text/csv; charset=iso-8859-1")
    assert code(latin) == (415, "unsupported_media_type")
    assert send(bob, [HEAD, "a1,x,1"], media_type="text/csv; charset=UTF-8").status_int == 200
    bounded(shop, api_import_rows=2)
    three = [HEAD, *(f"b{number},x,1" for number in range(3))]
    answer = send(bob, three)
    assert (code(answer), answer.json["most"]) == ((413, "too_many_rows"), 2)
    bounded(shop, api_import_rows=3, api_import_seconds=0.0)
    assert code(send(bob, three)) == (413, "import_too_long")
    bounded(shop, api_import_seconds=50.0, api_import_max_body=20)
    assert code(send(bob, three)) == (413, "body_too_large")
    assert skus(bob) == ["a1"]


def test_who_may_add_one_row_may_import_them(shop: Installation) -> None:
    rita = Client(shop.app).sign_in("rita", "acme")
    assert code(send(rita, [HEAD, "a1,x,1"])) == (403, "permission_denied")
    assert send(Client(shop.app).sign_in("bob", "acme"), ["text", "one", "two"], "/entries/import").json["created"] == 2


def test_a_file_for_which_the_disk_has_no_room_changes_nothing(bob: Client) -> None:
    lines = [HEAD, *(f"s{number},{'x' * 90},1" for number in range(6000))]
    with files_no_larger_than(100_000):
        answer = send(bob, lines)
    assert code(answer) == (503, "busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert skus(bob) == []
