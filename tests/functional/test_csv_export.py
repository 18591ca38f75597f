"""The rows of a list as CSV: all that the filters select, as the import reads them."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, update
from webob.request import BaseRequest

from tenantapp.identity.models import Grant, Tenant
from tenantapp.resources import exporting
from tenantapp.resources.csv_cells import cell_of, read_cell
from tenantapp.resources.errors import ExportBroken
from tenantapp.sql.ids import uuid7
from tenantapp.workspace.models import Author, Node
from tests.csv_files import export, lines_of, send
from tests.functional.operators import code
from tests.installation import Client, Installation
from tests.shop import Product, access_of

WRITTEN = ("sku", "name", "price_cents", "active", "kind", "size", "reorder_level")


@pytest.fixture
def bob(shop: Installation) -> Client:
    return Client(shop.app).sign_in("bob", "acme")


def fill(client: Client, shop: Installation, rows: int, **values: Any) -> None:
    with shop.registry.tenant_dbs.begin(access_of(shop)) as session:
        owner = client.get("/session").json["user"]["id"]
        columns = {"owner_id": access_of(shop, login="bob").person.id, "price_cents": 5, "version": 1} | values
        assert str(columns["owner_id"]) == owner
        session.add_all(Product(sku=f"s{number:04}", name=f"Product {number}", **columns) for number in range(rows))


@pytest.mark.parametrize(
    "value",
    [
        *("", "plain", "=1+1", "'=1+1", "''=1", " =1", "+49 170", "-5", "'-5", "-5 apples", "@x", "\t1", "\r", "\n=1"),
        *("\uff1d1", "'quoted'", 'a "b", c', "a\r\nb", "a; b", "[a]", "\ufeffx"),
        *(["a", "b"], ["a;b"], ["[a"], [" a"], ["=a", "b"], [], ["'=a"]),
        *(5, -5, 1.5, True, False, None, {"a": [1]}, [1, 2]),
    ],
    ids=repr,
)
def test_a_cell_is_read_back_and_is_no_formula(value: Any) -> None:
    cell = cell_of(value)
    read = str if isinstance(value, str) else texts if is_texts(value) else json.loads
    assert value in (None, "") if cell == "" else read_cell(cell, read) == value
    assert cell.lstrip()[:1] not in ("=", "+", "@", "\uff1d") or cell == "-5"


def is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def texts(cell: str) -> Any:
    return json.loads(cell) if cell.startswith("[") else [each.strip() for each in cell.split(";")]


def test_an_export_is_imported_as_it_was(bob: Client, shop: Installation) -> None:
    for number, name in enumerate(("=HYPERLINK(1)", 'a "b", c', "'=x", "\u00fc \u2713", "-1")):
        row = {"sku": f"s{number}", "name": name, "price_cents": number, "active": bool(number % 2)}
        row |= {"size": "large", "kind": "service"} if number % 2 else {}
        bob.post("/products", row, status=201)
    before = [{name: row[name] for name in WRITTEN} for row in bob.get("/products").json["items"]]
    answer = export(bob, f"?_fields={','.join(WRITTEN)}&_bom=true")
    assert answer.body.startswith(
        b"\xef\xbb\xbfsku,name,price_cents,active,kind,size,reorder_level\r\ns0,'=HYPERLINK(1),0,"
    )
    assert answer.headers["Content-Disposition"] == 'attachment; filename="products.csv"'
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert bob.delete("/products?min_price=0").json == {"deleted": 5}
    assert send(bob, answer.body).json == {"created": 5, "dry_run": False}
    assert [{name: row[name] for name in WRITTEN} for row in bob.get("/products").json["items"]] == before


def test_tags_and_texts_of_many_lines_come_back(bob: Client) -> None:
    bodies = ['# Title\r\n\r\n- a, "b"\n', "=1\n+2", "\ttab"]
    for number, body in enumerate(bodies):
        bob.post("/nodes", {"title": f"n{number}", "body": body, "tags": ["a;b", "red"] if number else ["blue", "red"]})
    shown = "/nodes?_sort=title&_fields=title,body,tags"
    before = bob.get(shown).json["items"]
    answer = export(bob, "?_fields=title,body,tags", "/nodes/export")
    assert "blue; red" in answer.text
    for node in bob.get("/nodes").json["items"]:
        bob.delete(f"/nodes/{node['id']}", If_Match="*")
    assert send(bob, answer.body, "/nodes/import").json["created"] == 3
    assert bob.get(shown).json["items"] == before


def test_all_rows_come_in_the_order_and_with_the_filters_of_the_list(bob: Client, shop: Installation) -> None:
    fill(bob, shop, 230)
    found = lines_of(export(bob, "?_sort=-name&_fields=sku&not_name=Product+7"))
    listed = [
        row["sku"] for row in bob.get("/products?_sort=-name&_fields=sku&not_name=Product+7&limit=500").json["items"]
    ]
    assert found == [["sku"], *([sku] for sku in listed)]
    assert len(listed) == 229
    head, *rows = lines_of(export(bob))
    (first, *_) = bob.get("/products?limit=1").json["items"]
    assert (head, len(rows)) == (list(first), 230)
    assert rows[0] == ["" if value is None else cell_of(value) for value in first.values()]


def test_rows_are_read_by_their_size(bob: Client, shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    limits, watched = list[int](), list[int]()
    find = exporting.find_asked

    def noted(resource: Any, session: Any, asked: Any, limit: int) -> Any:
        limits.append(limit)
        watched.append(len(shop.app.registry.bulkhead.requests))
        return find(resource, session, asked, limit)

    monkeypatch.setattr(exporting, "find_asked", noted)
    with shop.registry.tenant_dbs.begin(access_of(shop)) as session:
        owner = Author(id=uuid7(), name="Ada")
        nodes = [Node(owner=owner, title=f"n{number}", body="x" * 50_000, status="draft") for number in range(40)]
        session.add_all(nodes)
    assert len(lines_of(export(bob, path="/nodes/export"))) == 41
    assert limits[0] == exporting.FIRST
    assert {limit * 50_000 // exporting.WANTED for limit in limits[1:]} == {0}, limits
    assert len(limits) == 4
    assert watched == [1] * 4, "each read is bounded as that of a request"


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("?limit=5", "limit"),
        ("?cursor=x", "cursor"),
        ("?_count=exact", "_count"),
        ("?_fields=x", "There is no field x"),
    ],
)
def test_what_the_list_does_not_have_is_refused(bob: Client, query: str, detail: str) -> None:
    answer = export(bob, query)
    assert code(answer) == (400, "invalid_query")
    assert detail in answer.json["detail"]


def test_who_may_not_read_gets_nothing(shop: Installation) -> None:
    assert code(export(Client(shop.app))) == (401, "not_signed_in")
    assert code(export(Client(shop.app).sign_in("nobody"))) == (409, "tenant_required")


class TestBroken:
    """An export that does not come to its end does not look whole."""

    @pytest.fixture
    def begun(self, bob: Client, shop: Installation) -> Iterator[bytes]:
        """What the server sends, piece by piece; the first read has been sent."""
        fill(bob, shop, 120)
        cookies = "; ".join(f"{name}={value}" for name, value in bob.http.cookies.items())
        request = BaseRequest.blank("/api/v1/products/export", headers={"Cookie": cookies})
        pieces = iter(request.call_application(shop.app)[2])
        assert next(pieces).startswith(b"id,")
        assert next(pieces).count(b"\r\n") == exporting.FIRST
        return pieces

    def is_broken(self, pieces: Iterator[bytes], because: str, caplog: pytest.LogCaptureFixture) -> None:
        left = next(pieces)
        assert left == exporting.BROKEN
        with pytest.raises(ExportBroken):
            next(pieces)
        assert because in caplog.text
        with pytest.raises(csv.Error):
            list(csv.reader(io.StringIO(left.decode(), newline=""), strict=True))

    def test_goes_on_while_nothing_happens(self, begun: Iterator[bytes]) -> None:
        assert sum(piece.count(b"\r\n") for piece in begun) == 120 - exporting.FIRST

    def test_if_the_right_is_lost(
        self, begun: Iterator[bytes], shop: Installation, caplog: pytest.LogCaptureFixture
    ) -> None:
        with shop.registry.user_db.begin() as session:
            session.execute(delete(Grant))
        self.is_broken(begun, "You have no access to this tenant.", caplog)

    def test_if_the_content_was_replaced(
        self, begun: Iterator[bytes], shop: Installation, caplog: pytest.LogCaptureFixture
    ) -> None:
        with shop.registry.user_db.begin() as session:
            session.execute(update(Tenant).values(epoch="0123456789a"))
        self.is_broken(begun, "the content of the tenant was replaced", caplog)

    def test_if_the_database_is_gone(
        self, begun: Iterator[bytes], shop: Installation, caplog: pytest.LogCaptureFixture
    ) -> None:
        with shop.registry.tenant_dbs.begin(access_of(shop)) as session:
            session.connection().exec_driver_sql("ALTER TABLE products RENAME TO elsewhere")
        self.is_broken(begun, "", caplog)
