"""Declared resources: lists with filters and order, and changes with their rules, on both engines."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import orjson
import pytest
from pydantic import BeforeValidator, NaiveDatetime, create_model, model_validator
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Uuid,
    cast,
    literal,
    select,
)
from sqlalchemy.engine import make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry

from tenantapp.answers import Page
from tenantapp.api.json import check_patch
from tenantapp.api.problems import ApiError
from tenantapp.api.views import add_api_view
from tenantapp.content import Content
from tenantapp.identity import roles
from tenantapp.resources import (
    Display,
    Flag,
    Match,
    Owned,
    Resource,
    Translation,
    create_row,
    delete_rows,
    find_rows,
    patch_row,
    read_row,
)
from tenantapp.resources.checking import check_declaration
from tenantapp.resources.declaration import DeclarationError
from tenantapp.resources.describing import describe_resource
from tenantapp.resources.errors import AlreadyExists, InvalidField, NotOwner, TooManyRows
from tenantapp.resources.filters import Filter, Operator
from tenantapp.resources.indexes import missing_indexes
from tenantapp.resources.writing import check_fits
from tenantapp.sql.ids import uuid7
from tenantapp.sql.prepared import LoneSelect
from tests.forgery import forged_cursor
from tests.installation import Client, Installation
from tests.shop import (
    AFTER,
    MOST,
    Base,
    Product,
    ProductIn,
    Size,
    Supplier,
    SupplierIn,
    access_of,
    app_including,
    products,
    suppliers,
)

DIALECTS = ("sqlite", "postgresql")


@pytest.fixture
def bob(shop: Installation) -> Client:
    return Client(shop.app).sign_in("bob")


@pytest.fixture
def ada(shop: Installation) -> Client:
    return Client(shop.app).sign_in("ada")


def make(client: Client, sku: str, **content: Any) -> dict[str, Any]:
    body = {"sku": sku, "name": f"Product {sku}", "price_cents": 100} | content
    answer = client.post("/products", body)
    assert answer.status_int == 201, answer.text
    row: dict[str, Any] = answer.json
    return row


def skus(client: Client, query: str) -> list[str]:
    answer = client.get(f"/products?{query}")
    assert answer.status_int == 200, answer.text
    return [row["sku"] for row in answer.json["items"]]


def test_a_row_is_made_read_replaced_patched_and_deleted(bob: Client) -> None:
    made = bob.post("/products", {"sku": "a", "name": "Anvil", "price_cents": 5})
    row = made.json
    path = f"/products/{row['id']}"
    assert made.headers["Location"].endswith(path)
    assert set(row) == {
        "id", "sku", "name", "price_cents", "supplier_id", "kind", "active", "reorder_level", "size", "stock",
        "available_on", "created_at", "owner_id", "version",
    }  # fmt: skip
    assert (row["stock"], row["version"], row["active"]) == (0, 1, True)
    assert bob.get(path).json == row
    assert bob.get("/products").json == {"items": [row], "next": None}
    assert bob.patch(path, {"price_cents": 7}).json == row | {"price_cents": 7, "version": 2}
    assert bob.patch(path, {"price_cents": 7}).json["version"] == 2
    replaced = bob.put(path, {"sku": "b", "name": "B", "price_cents": 1}).json
    assert (replaced["sku"], replaced["version"]) == ("b", 3)
    assert bob.delete(path).status_int == 204
    assert bob.get(path).json["detail"] == "There is no such product."


def test_what_clients_see_and_cannot_write_is_refused(bob: Client) -> None:
    path = f"/products/{make(bob, 'a')['id']}"
    for member, value in (("stock", 9), ("owner_id", str(uuid7())), ("version", 9), ("id", str(uuid7()))):
        for refused in (
            bob.patch(path, {member: value}),
            bob.post("/products", {"sku": "x", "name": "x", "price_cents": 1, member: value}),
        ):
            assert (refused.status_int, refused.json["errors"][0]["pointer"]) == (422, f"/{member}")


def test_a_put_can_make_a_row_under_an_id_of_the_clients_own(bob: Client, ada: Client) -> None:
    path, body = f"/products/{uuid7()}", {"sku": "own", "name": "Own", "price_cents": 1}
    assert bob.put(path, body).status_int == 404
    both = bob.put(path, body, If_None_Match="*", If_Match='"x"')
    assert (both.status_int, both.json["code"]) == (412, "version_mismatch")
    made = bob.put(path, body, If_None_Match="*")
    assert made.status_int == 201
    assert made.headers["Location"].endswith(path)
    assert bob.get(path).json == made.json
    again = ada.put(path, body | {"name": "Other"}, If_None_Match="*")
    assert (again.status_int, again.json["code"], again.json["current"]) == (412, "version_mismatch", made.json)
    assert bob.get(path).json["name"] == "Own"


def test_filters(bob: Client, ada: Client) -> None:
    acme = bob.post("/suppliers", {"name": "Acme"}).json
    make(bob, "a", price_cents=5, supplier_id=acme["id"], name="Roller skates")
    make(ada, "b", price_cents=10, kind="service", name="50% off_[x]*", reorder_level=-1)
    make(bob, "c", price_cents=15, active=False, name="roller", size="large")
    owner = ada.get("/products?_sort=price&min_price=10&max_price=10").json["items"][0]["owner_id"]
    for query, expected in {
        "price=5": "a",
        "min_price=10": "bc",
        "max_price=10": "ab",
        "gt_price=10": "c",
        "lt_price=10": "a",
        "in_price=5,15,99": "ac",
        "not_price=5": "bc",
        "active=false": "c",
        "not_active=false": "ab",
        "kind=service": "b",
        "size=large": "c",
        "in_size=large,small": "c",
        "has_size=false": "ab",
        "in_kind=service,thing": "abc",
        f"owner_id={owner}": "b",
        f"supplier_id={acme['id']}": "a",
        f"not_supplier_id={acme['id']}": "bc",
        "has_supplier_id=true": "a",
        "has_supplier_id=false": "bc",
        "has_available_on=false": "abc",
        "min_available_on=2026-01-01": "",
        "min_created_at=2020-01-01T00:00:00Z": "abc",
        "max_created_at=2020-01-01T00:00:00%2B02:00": "",
        "low_stock=true": "ac",
        "low_stock=false": "b",
        "supplier=Acme": "a",
        "like_name=Roller*": "a",
        "like_name=oller": "ac",
        "like_name=*e*s": "a",
        "like_name=50%25": "b",
        "like_name=_[x]\\*": "",
        "like_name=f_": "b",
        "like_name=[x]": "b",
        "like_name=?": "",
        "_or=price=5,price=15": None,
        "_or=price=5,active=false": "ac",
        "_or=low_stock=true,kind=service&max_price=10": "ab",
        "min_price=5&max_price=10&active=true&in_kind=thing": "a",
    }.items():  # fmt: skip
        if expected is None:
            assert bob.get(f"/products?{query}").status_int == 400, query
        else:
            assert "".join(skus(bob, query)) == expected, query


@pytest.mark.parametrize(
    "query",
    ["colour=red", "min_active=true", "price=5.0", "price=x", "min_price=", "price=99999999999", "in_price=",
     "in_price=1,x", "has_supplier_id=yes",
     "in_price=" + ",".join("1" * 51), "kind=other", "in_kind=thing,other", "active=1", "has_price=true", "like_kind=x",
     "size=LARGE",
     "created_at=5", "created_at=2026-01-01", "created_at=2026-01-01T00:00:00", "available_on=20260101",
     "_sort=colour", "_sort=", "_sort=name,name", "_sort=name,-name", "_sort=--name", "_fields=colour", "_fields=id,",
     "_count=yes", "_or=", "_or=price", "_or=limit=5", "_or=colour=5", "_or=price=x", "_or=_sort=name",
     "_or=price=1,min_price=2,max_price=3,gt_price=4,lt_price=5,not_price=6", "cursor=abc", "sort=name", "q=x",
     "supplier_id=1", "like_name=" + "x" * 1001, "created_at=9999-12-31T23:59:59-23:00",
     "min_created_at=0001-01-01T00:00:00%2B23:00", "_or=sku=%2500", "_or=price=1,like_name=a%2500",
     "price=1&price=2", "name=%00"],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused(bob: Client, query: str) -> None:
    answer = bob.get(f"/products?{query}")
    assert (answer.status_int, answer.json["code"]) == (400, "invalid_query"), answer.text


def test_who_mistypes_a_name_is_told_what_it_may_be(bob: Client) -> None:
    for query, meant in {
        "min_prise=1": "min_price",
        "price__gte=1": "price",
        "price[gte]=1": "price",
        "_sort=-pric": "price",
        "_fields=id,nme": "name",
        "_or=prize=1": "price",
        "limits=1": "limit",
    }.items():
        answer = bob.get(f"/products?{query}")
        assert (answer.status_int, answer.json["code"]) == (400, "invalid_query")
        assert f"Did you mean {meant}?" in answer.json["detail"], answer.json["detail"]
    assert "Did you mean" not in bob.get("/products?xyzzy=1").json["detail"]


def test_order_and_pages(bob: Client) -> None:
    for number, (name, price) in enumerate([("b", 1), ("a", 2), ("b", 3), ("a", 1), ("c", 2)]):
        make(bob, str(number), name=name, price_cents=price)
    for sort, expected in {
        "created": "01234",
        "-created": "43210",
        "name": "13024",
        "-name": "42031",
        "price,-name": "03412",
        "-price,name": "21430",
        "name,-price,-created": "13204",
    }.items():
        if sort == "name,-price,-created":
            expected = "13204"
        seen, query = [], f"_sort={sort}&limit=2"
        while True:
            answer = bob.get(f"/products?{query}")
            assert answer.status_int == 200, answer.text
            seen += [row["sku"] for row in answer.json["items"]]
            if answer.json["next"] is None:
                assert "Link" not in answer.headers
                break
            target, _, relation = answer.headers["Link"].partition(">; ")
            assert relation == 'rel="next"'
            query = target.partition("?")[2]
            assert answer.json["next"] in query
        assert "".join(seen) == expected, sort


def test_link_has_the_query_as_it_was_meant(bob: Client) -> None:
    for sku in "abc":
        make(bob, sku, name="Café é")
    for query in ("name=Caf%C3%A9+%C3%A9", "name=Café+é", "name=Caf%C3%A9%20é&&"):
        request = bob.http.RequestClass.blank("/api/v1/products")
        request.environ["QUERY_STRING"] = f"{query}&limit=2".encode().decode("latin-1")
        answer = bob.http.do_request(request)
        assert len(answer.json["items"]) == 2
        target = answer.headers["Link"].partition(">; ")[0].removeprefix("<http://localhost/api/v1")
        assert target.isascii()
        assert [row["sku"] for row in bob.get(target).json["items"]] == ["c"], query


def test_a_cursor_belongs_to_its_list(bob: Client, shop: Installation) -> None:
    for sku in "abc":
        make(bob, sku)
        bob.post("/suppliers", {"name": sku})
    cursor = bob.get("/products?limit=1&min_price=1").json["next"]
    assert skus(bob, f"limit=1&min_price=1&cursor={cursor}") == ["b"]
    assert skus(bob, f"limit=2&min_price=1&cursor={cursor}") == ["b", "c"], "another limit is the same list"
    both = Client(shop.app).sign_in("both", "globex")
    first = cursor[0]
    refused = [
        bob.get(f"/products?limit=1&cursor={cursor}"),
        bob.get(f"/products?limit=1&min_price=2&cursor={cursor}"),
        bob.get(f"/products?limit=1&min_price=1&_sort=name&cursor={cursor}"),
        bob.get(f"/products?limit=1&min_price=1&_sort=-created&cursor={cursor}"),
        bob.get(f"/suppliers?limit=1&cursor={cursor}"),
        both.get(f"/products?limit=1&min_price=1&cursor={cursor}"),
        bob.get(f"/products?limit=1&min_price=1&cursor={'B' if first == 'A' else 'A'}{cursor[1:]}"),
        bob.get(f"/products?limit=1&min_price=1&cursor={cursor[:-4]}"),
        bob.get(f"/products?limit=1&min_price=1&cursor={cursor}="),
    ]
    assert {(answer.status_int, answer.json["code"]) for answer in refused} == {(400, "invalid_query")}


def test_a_forged_cursor_of_a_list_is_refused(bob: Client, shop: Installation) -> None:
    tenant = str(access_of(shop).require_tenant().id)
    for sort, values in {
        "created": (None, 5, {}, [], [None], ["9999-12-31T23:59:59-23:00"], ["0001-01-01T00:00:00+23:00"],
                    [[]], [2**63]),
        "name": ([None], ["a\0"], ["a"], ["a", None], ["a", "x"], [1, str(uuid7())], ["a", str(uuid7()), 1]),
        "price": ([2**62, str(uuid7())], [1e300, str(uuid7())], [{}, str(uuid7())]),
    }.items():  # fmt: skip
        context = f"{tenant} {('products', ((sort, False),), [], [], None)!r}"
        for value in values:
            answer = bob.get(f"/products?_sort={sort}&cursor={forged_cursor(context, orjson.dumps(value))}")
            assert (answer.status_int, answer.json["code"]) == (400, "invalid_query"), (sort, value)
    right = orjson.dumps(["a", str(uuid7())])
    context = f"{tenant} {('products', (('name', False),), [], [], None)!r}"
    assert bob.get(f"/products?_sort=name&cursor={forged_cursor(context, right)}").status_int == 200


def test_fields_and_counts(bob: Client) -> None:
    for sku in "abc":
        make(bob, sku)
    assert bob.get("/products?_fields=sku,id&limit=1").json["items"][0].keys() == {"sku", "id"}
    asked = [bob.get(f"/products?_fields={names}").body for names in ("id,sku", "sku,id", "sku,id,sku")]
    assert len(set(asked)) == 1
    assert bob.get("/products?_count=exact&limit=1").json["count"] == {"rows": 3, "exact": True}
    assert bob.get("/products?_count=exact&sku=a").status_int == 400
    assert bob.get("/products?_count=estimated&gt_price=100").json["count"] == {"rows": 0, "exact": True}
    assert "count" not in bob.get("/products").json


def test_rows_belong_to_people(bob: Client, ada: Client, shop: Installation) -> None:
    path = f"/products/{make(ada, 'a')['id']}"
    for refused in (
        bob.patch(path, {"name": "x"}),
        bob.put(path, {"sku": "x", "name": "x", "price_cents": 1}),
        bob.delete(path),
    ):
        assert (refused.status_int, refused.json["code"]) == (403, "not_owner")
    editor = Client(shop.app).sign_in("ed")
    assert editor.patch(path, {"name": "Edited"}).json["owner_id"] == ada.get(path).json["owner_id"]
    rita = Client(shop.app).sign_in("rita")
    assert rita.get(path).json["name"] == "Edited"
    assert rita.patch(path, {"name": "x"}).json["code"] == "permission_denied"


def test_violated_constraints_are_answered_with_a_pointer(bob: Client) -> None:
    supplier = bob.post("/suppliers", {"name": "Acme"}).json
    row = make(bob, "a", supplier_id=supplier["id"])
    other = make(bob, "b")
    path, unknown = f"/products/{other['id']}", str(uuid7())
    body = {"sku": "c", "name": "c", "price_cents": 1}
    for answer, status, code, pointer in (
        (bob.post("/products", body | {"sku": "a"}), 409, "already_exists", "/sku"),
        (bob.patch(path, {"sku": "a"}), 409, "already_exists", "/sku"),
        (bob.put(path, body | {"sku": "a"}), 409, "already_exists", "/sku"),
        (bob.post("/products", body | {"supplier_id": unknown}), 422, "invalid_reference", "/supplier_id"),
        (bob.patch(path, {"supplier_id": unknown}), 422, "invalid_reference", "/supplier_id"),
        (bob.post("/suppliers", {"name": "Acme"}), 409, "already_exists", "/name"),
        (bob.post("/products", body | {"sku": "x" * 21}), 422, "invalid", "/sku"),
        (bob.post("/products", body | {"price_cents": 2**31}), 422, "invalid", "/price_cents"),
        (bob.patch(path, {"price_cents": 2**63}), 422, "invalid", "/price_cents"),
        (bob.patch(path, {"kind": "service", "price_cents": 0}), 422, "invalid", "/price_cents"),
    ):
        assert (answer.status_int, answer.json["code"]) == (status, code), answer.text
        assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    in_use = bob.delete(f"/suppliers/{supplier['id']}")
    assert (in_use.status_int, in_use.json["code"]) == (409, "in_use")
    assert "products" in in_use.json["detail"]
    assert bob.get("/products").json["items"] == [row, other]


def test_a_child_moves_the_version_of_its_parent(bob: Client) -> None:
    one, two = (f"/products/{make(bob, sku)['id']}" for sku in "ab")
    line = bob.post("/lines", {"product_id": one.rpartition("/")[2], "text": "x"}).json
    assert [bob.get(path).json["version"] for path in (one, two)] == [2, 1]
    line_path = f"/lines/{line['id']}"
    assert "ETag" not in bob.patch(line_path, {"text": "y"}).headers
    assert [bob.get(path).json["version"] for path in (one, two)] == [3, 1]
    bob.patch(line_path, {"product_id": two.rpartition("/")[2]})
    assert [bob.get(path).json["version"] for path in (one, two)] == [4, 2]
    assert bob.delete(line_path).status_int == 204
    assert [bob.get(path).json["version"] for path in (one, two)] == [4, 3]
    assert bob.patch(line_path, {"text": "z"}).status_int == 404


def test_many_rows_are_changed_by_a_filter_or_none(bob: Client, ada: Client) -> None:
    for sku in "abcd":
        make(bob, sku, price_cents=ord(sku))
    assert bob.patch("/products?max_price=98", {"active": False}).json == {"matched": 2, "changed": 2}
    assert bob.patch("/products?max_price=99", {"active": False}).json == {"matched": 3, "changed": 1}
    assert skus(bob, "active=false") == ["a", "b", "c"]
    assert bob.patch("/products", {"active": False}).json["code"] == "invalid_query"
    assert bob.delete("/products").json["code"] == "invalid_query"
    refused = bob.patch("/products?min_price=1", {"price_cents": 0, "kind": "service"})
    assert refused.json["errors"][0]["pointer"] == "/price_cents"
    hers = make(ada, "e")
    refused = bob.patch("/products?min_price=1", {"name": "Mine"})
    assert (refused.status_int, refused.json["code"]) == (403, "not_owner")
    make(bob, "f")
    refused = ada.delete("/products?min_price=1")
    assert (refused.status_int, refused.json["code"], refused.json["most"]) == (413, "too_many_rows", MOST)
    assert "Mine" not in [row["name"] for row in bob.get("/products").json["items"]]
    assert ada.delete("/products?max_price=99").json == {"deleted": 3}
    assert ada.delete(f"/products?owner_id={hers['owner_id']}").json == {"deleted": 1}
    assert skus(bob, "") == ["d", "f"]


def test_an_empty_pattern_or_a_tag_changes_no_list(bob: Client) -> None:
    """An empty field of a page is no reason to delete everything, nor is the tag of something else."""
    made = [make(bob, sku, name=sku) for sku in "ab"]
    for query in ("", "?like_name=", "?like_name=*", "?like_name=**"):
        for answer in (bob.delete(f"/products{query}"), bob.patch(f"/products{query}", {"name": "x"})):
            assert (answer.status_int, answer.json["code"]) == (400, "invalid_query"), query
    assert len(bob.get("/products?like_name=").json["items"]) == 2
    tag = bob.get(f"/products/{made[0]['id']}").headers["ETag"]
    for answer in (
        bob.delete("/products?min_price=0", If_Match=tag),
        bob.patch("/products?min_price=0", {"name": "x"}, If_Match=tag),
    ):
        assert (answer.status_int, answer.json["code"]) == (412, "version_mismatch")
    assert [row["name"] for row in bob.get("/products").json["items"]] == ["a", "b"]
    assert bob.delete("/products?like_name=a", If_Match="*").json == {"deleted": 1}
    assert bob.delete("/products?like_name=&min_price=0").json == {"deleted": 1}


def test_a_batch_changes_no_more_rows_by_filter_than_one_call(bob: Client) -> None:
    for sku in "abc":
        make(bob, sku)
    change = {"method": "PATCH", "path": "/products?min_price=0", "body": {"active": False}}
    least, more = MOST // 3, MOST // 3 + 1
    assert bob.post("/batch", {"requests": [change] * least}).status_int == 200
    refused = bob.post("/batch", {"requests": [change | {"body": {"name": "Lost"}}] * more})
    assert (refused.status_int, refused.json["code"]) == (413, "too_many_rows")
    assert (refused.json["most"], refused.json["part"]) == (MOST, least)
    assert "Lost" not in [row["name"] for row in bob.get("/products").json["items"]]


def test_a_wrong_change_of_many_rows_is_refused_even_if_there_are_none(bob: Client) -> None:
    for wrong, pointer in (
        ({"mislaid": 1}, "/mislaid"),
        ({"price_cents": "x"}, "/price_cents"),
        ({"name": None}, "/name"),
    ):
        refused = bob.patch("/products?max_price=0", wrong)
        assert (refused.status_int, refused.json["errors"][0]["pointer"]) == (422, pointer)
    assert bob.patch("/products?max_price=0", {"active": False}).json == {"matched": 0, "changed": 0}


def test_a_filter_of_many_rows_stops_at_a_taken_value(bob: Client) -> None:
    for sku in "ab":
        make(bob, sku)
    refused = bob.patch("/products?price=100", {"sku": "same"})
    assert (refused.status_int, refused.json["code"]) == (409, "already_exists")
    assert skus(bob, "") == ["a", "b"]


def test_hooks_run_before_and_after(bob: Client) -> None:
    AFTER.clear()
    path = f"/products/{make(bob, 'a')['id']}"
    bob.patch(path, {"name": "New"})
    bob.patch(path, {"name": "New"})
    bob.patch(path, {"kind": "service", "price_cents": 0})
    assert AFTER == ["create a 1", "change a 2"]


def test_a_script_calls_the_same_functions(shop: Installation) -> None:
    bob, ada = access_of(shop, login="bob"), access_of(shop, login="ada")
    with shop.registry.tenant_dbs.begin(bob) as session:
        row = create_row(products, session, bob, ProductIn(sku="a", name="A", price_cents=1))
        assert row.owner_id == bob.person.id
        for number in range(MOST):
            create_row(products, session, ada, ProductIn(sku=f"{number}", name="N", price_cents=number))
        assert patch_row(products, session, bob, row.id, {"price_cents": 9}).price_cents == 9
        assert read_row(products, session, row.id).version == 2
        found = find_rows(products, session, {"min_price": 4, "in_kind": ["thing"]}, sort=(("price", True),))
        assert [UUID(each.key) == row.id for each in found] == [True, False]
        with pytest.raises(TooManyRows):
            delete_rows(products, session, ada, {"min_price": 0})
        with pytest.raises(NotOwner):
            delete_rows(products, session, bob, {"price": 0})
        with pytest.raises(AlreadyExists):
            patch_row(products, session, bob, row.id, {"sku": "0"})
        session.rollback()


def test_filters_and_sorts_without_an_index_are_named() -> None:
    for dialect in DIALECTS:
        found = missing_indexes(products, make_url(f"{dialect}://").get_dialect()())
        assert found == [
            f"The filter {name} of the resource products has no index{which}."
            for name, which in [
                *((each, f" on {each} and id") for each in ("active", "size", "kind", "created_at")),
                ("low_stock", ""),
            ]
        ]
        assert missing_indexes(suppliers, make_url(f"{dialect}://").get_dialect()()) == []


def test_an_enumeration_that_stores_names_is_refused() -> None:
    class Odd(Base):
        """Stores ``SMALL``, and clients would see it."""

        __tablename__ = "odd"
        id: Mapped[UUID] = mapped_column(primary_key=True)
        size: Mapped[Size]

    Base.metadata.remove(Odd.__table__)
    odd = Resource("odd", Odd, body=SupplierIn, shows=("size",), read="content.read", write="content.create")
    with pytest.raises(DeclarationError, match="values_callable"):
        odd.column("size")


def test_decimals_fit_their_column() -> None:
    class Priced(Base):
        """Has a price."""

        __tablename__ = "priced"
        id: Mapped[UUID] = mapped_column(primary_key=True)
        price: Mapped[Decimal] = mapped_column(Numeric(6, 2))

    class PriceIn(Content):
        price: Decimal

    Base.metadata.remove(Priced.__table__)
    priced = Resource("priced", Priced, body=PriceIn, read="content.read", write="content.create")
    for fitting in ("0", "9999.99", "-9999.99", "1.10", "1.100", "1E+3", "0.00"):
        check_fits(priced, PriceIn(price=Decimal(fitting)))
    for wrong in ("10000", "0.001", "-10000.00", "1E+4"):
        with pytest.raises(InvalidField):
            check_fits(priced, PriceIn(price=Decimal(wrong)))


def test_a_view_of_ones_own_replaces_one_of_the_resource(installation: Installation) -> None:
    def own(request: Any) -> dict[str, Any]:
        """Return nothing."""
        return {"items": [], "next": None}

    def includeme(config: Any) -> None:
        config.add_resource(suppliers)
        add_api_view(config, own, "suppliers", "GET", permission="content.read", answer=Page[int])

    app = app_including(installation, includeme)
    views = [
        each["introspectable"]["callable"]
        for each in app.registry.introspector.get_category("views")
        if each["introspectable"]["route_name"] == "suppliers"
    ]
    assert own in views
    assert sorted(view.__name__ for view in views) == ["create_row", "own"]


def test_changes_need_the_permission_to_read_and_new_rows_that_to_create(bob: Client, shop: Installation) -> None:
    path, body = f"/products/{make(bob, 'a')['id']}", {"sku": "x", "name": "x", "price_cents": 1}
    with shop.registry.user_db.begin() as session:
        roles.deny(session, "author", "content.read")
    for refused in (
        bob.put(path, body, If_None_Match="*"),
        bob.put(path, body),
        bob.patch(path, {"name": "x"}),
        bob.delete(path),
        bob.patch("/products?price=1", {"name": "x"}),
        bob.delete("/products?price=1"),
    ):
        assert (refused.status_int, refused.json["code"]) == (403, "permission_denied")
        assert "current" not in refused.json
    with shop.registry.user_db.begin() as session:
        roles.allow(session, "author", "content.read", known={"content.read"})


class Whole(Content):
    """Has a rule about two of its fields."""

    low: int = 0
    high: int = 9

    @model_validator(mode="after")
    def in_order(self) -> "Whole":
        """Raise ``ValueError`` if they are the wrong way round."""
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


def test_a_patch_of_no_rows_is_checked_as_far_as_it_can_be() -> None:
    check_patch({"low": 1}, Whole)
    with pytest.raises(ApiError):
        check_patch({"lowest": 1}, Whole)
    with pytest.raises(ApiError):
        check_patch({"name": 1}, SupplierIn)


@pytest.mark.parametrize("type_", [Interval(), LargeBinary()])
def test_what_the_database_cannot_write_as_json_is_a_slip(type_: Any) -> None:
    table = Table("timed", MetaData(), Column("id", Uuid, primary_key=True), Column("took", type_, default=None))

    class Timed:
        """Took some time."""

    registry().map_imperatively(Timed, table)
    body = create_model("TimedIn", __base__=Content)
    timed = Resource("timed", Timed, body=body, noun="time", shows=("took",), read="r", write="w")
    with pytest.raises(DeclarationError, match="cannot write the column took as JSON"):
        check_declaration(timed)


def component(spec: str) -> dict[str, Any]:
    return {"display": Display(component=spec)}


SLIPS: dict[str, dict[str, Any]] = {
    "letters, digits": {"name": "two-words"},
    "give it a noun": {"name": "staff"},
    "the id of its model": {"model": "named"},
    "SQLite counts no": {"model": "counted"},
    "search needs": {"search": True},
    "no such column": {"body": {"nmae": (str, ...)}},
    "not for clients to write": {"body": {"name": (str, ...), "version": (int, 1)}},
    "id of its body": {"body": {"name": (str, ...), "id": (UUID, ...)}},
    "another type than": {"body": {"name": (int, ...)}},
    "nothing gives the column name": {"body": {}},
    "is no column": {"filters": {"name": "name"}},
    "of another table": {"filters": {"name": Product.name}},
    "both answer to": {"filters": {"id": Supplier.id, "not_id": Supplier.id}},
    "cannot be called": {"sorts": {"-name": Supplier.name}},
    "is a column of another": {"sorts": {"name": Product.name}},
    "The sort name": {"sorts": {"name": "name"}},
    "have to be dictionaries": {"filters": [Supplier.name]},
    "foreign keys": {"touches": (Supplier.name,)},
    "most has": {"most": 0},
    "owner has to be": {"owner": Supplier.id},
    "shows": {"shows": ("colour",)},
    "icon has to be": {"display": Display(icon="skull")},
    "no member colour": {"display": Display(columns=("name", "colour"))},
    "no member title": {"display": Display(title="title")},
    "could have a label": {"display": Display(labels={"colour": "Color"})},
    "no field version": {"display": Display(hints={"version": "markdown"})},
    "html is no hint": {"display": Display(hints={"name": "html"})},
    "no member name that may be empty, refers to its own rows": {
        "display": Display(tree="name"),
        "filters": {"name": Match(Supplier.name)},
    },
    "PACKAGE:DIRECTORY/FILE.js, such as bookshop:page/shelf.js, and not 'shelf.js'": component("shelf.js"),
    "and not 'tests:shelf.js'": component("tests:shelf.js"),  # all files beside it would be public
    "and not 'tests:../tests/shelf.js'": component("tests:../tests/shelf.js"),
    "and not 'tests:page/shelf.py'": component("tests:page/shelf.py"),
    "no package nowhere, which its component nowhere:page/shelf.js": component("nowhere:page/shelf.js"),
    "no package nowhere.at.all": component("nowhere.at.all:page/shelf.js"),
    "no package tests.shop": component("tests.shop:page/shelf.js"),  # a module
    "page/shelf.js, which its component tests:page/shelf.js names": component("tests:page/shelf.js"),
    "a code such as de": {"display": Display(translations={"German": Translation(label="Lieferanten")})},
    "sort colour that could": {"display": Display(translations={"de": Translation(labels={"colour": "Farbe"})})},
    "no field id that": {"display": Display(translations={"de": Translation(help={"id": "Wird vergeben."})})},
    "no choice of name": {"display": Display(translations={"de": Translation(choices={"name": {"a": "b"}})})},
}


class Named(Base):
    """Has a text for a key."""

    __tablename__ = "named"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class Counted(Base):
    """Has a key that SQLite does not count."""

    __tablename__ = "counted"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str]


@pytest.mark.parametrize("sentence", SLIPS)
def test_a_slip_in_a_declaration_is_one_sentence(sentence: str) -> None:
    options = {"name": "suppliers", "model": Supplier, "body": {"name": (str, ...)}, **SLIPS[sentence]}
    options["body"] = create_model("SlipIn", __base__=Content, **options["body"])
    options["model"] = {"named": Named, "counted": Counted}.get(options["model"], options["model"])
    with pytest.raises(DeclarationError) as raised:
        check_declaration(Resource(**options, read="content.read", write="content.create"))
    if sentence != "shows":
        assert sentence in str(raised.value)
    with pytest.raises(DeclarationError, match="create, change or delete"):
        suppliers.on("update")(print)  # type: ignore[arg-type]


def test_one_name_is_of_one_resource(installation: Installation) -> None:
    def includeme(config: Any) -> None:
        config.add_resource(suppliers)
        config.add_resource(suppliers)

    with pytest.raises(SystemExit, match="two resources called suppliers"):
        app_including(installation, includeme)


def test_numbers_are_read_by_a_lone_select_as_by_the_orm(shop: Installation) -> None:
    price, share = literal(Decimal("1.50"), Numeric(6, 2)), literal(0.5, Float())
    statement: Any = select(price.label("price"), share.label("share"))
    with shop.registry.tenant_dbs.for_access(access_of(shop)).get_session(read_only=True) as session:
        [row] = LoneSelect(statement).rows(session, {})
    assert (round(row.price, 2), row.share) == (Decimal("1.50"), 0.5)


def test_the_document_has_what_a_page_of_a_resource_needs(shop: Installation) -> None:
    described = {tag["name"]: tag.get("x-resource") for tag in shop.app.registry.openapi.content["tags"]}
    assert described["account"] is None
    assert described["products"] == {
        "path": "/api/v1/products",
        "noun": "product",
        "label": "Products",
        "icon": "list",
        "order": 100,
        "columns": ["sku", "name", "price_cents", "supplier_id", "kind", "active"],
        "title": "sku",
        "labels": {},
        "hints": {},
        "suggests": {},
        "translations": {},
        "references": {"supplier_id": "suppliers"},
        "files": [],
        "filters": {name: list(each.operators()) for name, each in products.filters.items()},
        "sorts": ["created", "name", "price"],
        "search": False,
        "undo": True,
        "component": None,
        "tree": None,
        "within": None,
        "owner": "owner_id",
        "version": "version",
        "history": False,
        "permissions": {
            "read": "content.read",
            "create": "content.create",
            "write": "content.create",
            "over": "content.edit_any",
        },
    }
    assert described["nodes"]["references"] == {"parent_id": "nodes"}
    assert described["nodes"]["tree"] == {"member": "parent_id", "filter": "parent_id"}
    assert described["nodes"]["owner"] == "owner"
    assert described["nodes"]["hints"] == {"body": "markdown"}
    assert described["lines"]["references"] == {"product_id": "products"}
    assert described["lines"]["version"] is None


class Person(Base):
    """Works for somebody, and learns from somebody."""

    __tablename__ = "persons"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    boss_id: Mapped[UUID | None] = mapped_column(ForeignKey("persons.id"))
    mentor_id: Mapped[UUID | None] = mapped_column(ForeignKey("persons.id"))
    root_id: Mapped[UUID] = mapped_column(ForeignKey("persons.id"))
    supplier_id: Mapped[UUID | None] = mapped_column(ForeignKey(Supplier.id))


REFERENCES = {name: getattr(Person, name) for name in ("supplier_id", "root_id", "mentor_id")}


@pytest.mark.parametrize(
    ("tree", "filters", "described"),
    [
        (True, REFERENCES | {"above": Person.boss_id}, {"member": "boss_id", "filter": "above"}),
        (True, REFERENCES, {"member": "mentor_id", "filter": "mentor_id"}),
        (True, {"boss_id": Flag(Person.boss_id.is_(None)), "supplier_id": Person.supplier_id}, None),
        ("mentor_id", REFERENCES | {"above": Person.boss_id}, {"member": "mentor_id", "filter": "mentor_id"}),
        (False, REFERENCES, None),
    ],
)
def test_a_filter_by_the_row_above_makes_a_tree(tree: str | bool, filters: dict[str, Any], described: Any) -> None:
    fields: Any = dict.fromkeys(("boss_id", "mentor_id", "root_id", "supplier_id"), (UUID | None, None))
    body = create_model("PersonIn", __base__=Content, **fields | {"root_id": (UUID, ...)})
    people = Resource(
        "people", Person, noun="person", body=body, filters=filters, read="r", write="w", display=Display(tree=tree)
    )
    check_declaration(people)
    assert describe_resource(people, {"people": people}, None)["tree"] == described


class AnyOf(Filter):
    """Products with one of these SKUs, which are read as a list."""

    def operators(self) -> dict[str, Operator]:
        named = Annotated[list[str], BeforeValidator(lambda text: text.split("+"))]
        return {"": Operator(named, lambda given: Product.sku.in_(given), Product.sku.type, many=True)}

    def indexed(self) -> None:
        return


def test_filters_may_be_written_in_two_ways_and_have_values_of_any_type(bob: Client, shop: Installation) -> None:
    some = Flag(Product.sku.in_(("a", "b")))
    found = {"cost": Match(cast(Product.price_cents, Numeric(8, 2))), "any_of": AnyOf(), "some": some}
    owned = Owned(Product.owner_id, over="content.edit_any")
    declared = Resource(
        "goods", Product, body=ProductIn, owner=owned, filters=found, read="content.read", write="content.create"
    )
    for sku in "abc":
        make(bob, sku)
    bob = Client(including(shop, declared)).sign_in("bob")
    for cost in ("100.0", "100.00", "100"):
        first = bob.get(f"/goods?limit=2&cost={cost}").json
        following = bob.get(f"/goods?limit=2&cost={cost}&cursor={first['next']}")
        assert [row["sku"] for page in (first, following.json) for row in page["items"]] == ["a", "b", "c"]
    for _ in range(2):
        assert [row["sku"] for row in bob.get("/goods?any_of=a%2Bc").json["items"]] == ["a", "c"]
        assert [row["sku"] for row in bob.get("/goods?some=true&_count=estimated").json["items"]] == ["a", "b"]


def test_lists_are_by_times_without_a_zone_as_they_are_shown(shop: Installation) -> None:
    opening = type("OpeningBase", (DeclarativeBase,), {})

    class Opening(opening):  # type: ignore[misc, valid-type]
        """When the shop opens, by the clock on its wall."""

        __tablename__ = "openings"
        id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
        at: Mapped[datetime] = mapped_column(DateTime())

    with shop.registry.tenant_dbs.begin(access_of(shop)) as session:
        opening.metadata.create_all(session.connection())
    body = create_model("OpeningIn", __base__=Content, at=NaiveDatetime)
    by = {"filters": {"at": Opening.at}, "sorts": {"at": Opening.at}}
    declared = Resource("openings", Opening, body=body, read="content.read", write="content.create", **by)
    bob = Client(including(shop, declared)).sign_in("bob")
    times = ["2026-01-31T09:30:00", "2026-02-01T09:30:00.123456", "2026-02-02T10:00:00"]
    for each in times:
        assert bob.post("/openings", {"at": each}).status_int == 201
    first = bob.get("/openings?_sort=at&limit=2").json
    following = bob.get(f"/openings?_sort=at&limit=2&cursor={first['next']}")
    assert [row["at"] for page in (first, following.json) for row in page["items"]] == times
    assert [row["at"] for row in bob.get(f"/openings?in_at={times[0]},{times[1]}").json["items"]] == times[:2]
    assert [row["at"] for row in bob.get(f"/openings?min_at={times[1]}").json["items"]] == times[1:]
    assert bob.get("/openings?at=2026-01-31T09:30:00Z").status_int == 400


def including(shop: Installation, resource: Resource[Any]) -> Any:
    """The application with this resource, on the databases of the shop."""
    app = app_including(shop, lambda config: config.add_resource(resource))
    for name in ("user_db", "tenant_dbs", "access_reader"):
        setattr(app.registry, name, getattr(shop.registry, name))
    return app
