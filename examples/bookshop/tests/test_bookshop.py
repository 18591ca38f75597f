"""The bookshop, over HTTP and from a script."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from tenantapp.resources import create_row
from tenantapp.testing import Check, resource_checks

from bookshop.books import OutOfStock, books, sales
from bookshop.private_data import remove_private_data

EMMA = {"title": "Emma", "price_cents": 1250, "stock": 3}


def volume(number: int) -> dict[str, Any]:
    """A book unlike the others."""
    return {"title": f"Emma, volume {number}", "price_cents": number, "stock": 3}


@pytest.mark.parametrize("check", resource_checks(books), ids=lambda check: check.__name__)
def test_books_are_as_declared(cast: Any, check: Check) -> None:
    check(books, cast(volume))


def test_a_book_is_added_sold_and_changed(client: Any) -> None:
    ann = client("author")
    added = ann.post("/books", EMMA, status=201)
    book = added.json
    assert book == EMMA | {"id": book["id"], "owner_id": book["owner_id"], "sold": 0, "version": 1}
    assert added.location.endswith(f"/api/v1/books/{book['id']}")
    sale = ann.post("/sales", {"book_id": book["id"], "copies": 2}, status=201).json
    assert (sale["price_cents"], sale["seller_id"]) == (1250, book["owner_id"])
    assert ann.patch(f"/books/{book['id']}", {"price_cents": 1500}, status=200).json["price_cents"] == 1500
    now = ann.get(f"/books/{book['id']}", status=200).json
    assert now == book | {"price_cents": 1500, "stock": 1, "sold": 2, "version": 3}
    refused = ann.post("/sales", {"book_id": book["id"], "copies": 2}, status=409).json
    assert (refused["code"], refused["stock"]) == ("out_of_stock", 1)


def test_the_document_has_our_calls(client: Any) -> None:
    document = client(None).get("/openapi.json", status=200).json
    sale = document["paths"]["/api/v1/sales"]["post"]
    assert "out_of_stock" in sale["responses"]["409"]["$ref"]
    assert document["components"]["schemas"]["BookContentPatch"]["properties"]["title"]["maxLength"] == 200
    assert client(None).http.get("/api/docs").status_int == 200


def test_books_come_in_pages(client: Any) -> None:
    ann = client("author")
    ids = [ann.post("/books", EMMA, status=201).json["id"] for _ in range(2)]
    page = ann.get("/books?limit=1", status=200).json
    seen = page["items"]
    while page["next"]:
        page = ann.get(f"/books?limit=1&cursor={page['next']}", status=200).json
        seen += page["items"]
    assert [book["id"] for book in seen][-2:] == ids


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/books"), ("POST", "/books"), ("GET", "/sales"), ("POST", "/sales")],
)
def test_nobody_gets_in_without_signing_in(client: Any, method: str, path: str) -> None:
    body = {} if method == "POST" else None
    assert client(None).request(method, path, body, status=401).json["code"] == "not_signed_in"


def test_permissions(client: Any) -> None:
    book = client("author").post("/books", EMMA, status=201).json
    path, sale = f"/books/{book['id']}", {"book_id": book["id"]}
    rita = client("reader")
    for method, where, body in (("POST", "/books", EMMA), ("PATCH", path, {"stock": 9}), ("POST", "/sales", sale)):
        assert rita.request(method, where, body, status=403).json["code"] == "permission_denied"
    assert client("author", login="ben").patch(path, {"stock": 9}, status=403).json["code"] == "not_owner"
    # A role holds what it was given, whatever its rank.
    assert client("editor").post("/sales", sale, status=403).json["code"] == "permission_denied"
    client("editor").patch(path, {"stock": 9}, status=200)
    client("author", login="ben").post("/sales", sale, status=201)
    assert rita.get(path, status=200).json["stock"] == 8


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"price_cents": -1}, "/price_cents"),
        ({"price_cents": 12.5}, "/price_cents"),
        ({"title": None}, "/title"),
        ({"author": "Austen"}, "/author"),
    ],
)
def test_a_wrong_body_is_pointed_at(client: Any, wrong: dict[str, Any], pointer: str) -> None:
    ann = client("author")
    book = ann.post("/books", EMMA, status=201).json
    for method, path, body in (("POST", "/books", EMMA | wrong), ("PATCH", f"/books/{book['id']}", wrong)):
        problem = ann.request(method, path, body, status=422).json
        assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_shops_do_not_mix(client: Any) -> None:
    book = client("author").post("/books", EMMA, status=201).json
    sam = client("author", tenant="south")
    assert sam.get("/books", status=200).json["items"] == []
    sam.get(f"/books/{book['id']}", status=404)
    sam.patch(f"/books/{book['id']}", {"stock": 0}, status=404)
    refused = sam.post("/sales", {"book_id": book["id"]}, status=422).json
    assert [error["pointer"] for error in refused["errors"]] == ["/book_id"]


def test_a_script_calls_the_same_functions(installation: Any) -> None:
    ann = installation.access("author")
    with installation.registry.tenant_dbs.begin(ann) as session:
        emma = books.body(title="Emma", price_cents=900, stock=1)
        book = create_row(books, session, ann, emma)
        sale = create_row(sales, session, ann, sales.body(book_id=book.id))
        assert (book.owner_id, book.stock, sale.price_cents) == (ann.person.id, 0, 900)
        with pytest.raises(OutOfStock):
            create_row(sales, session, ann, sales.body(book_id=book.id))


def test_a_copy_without_people_names_nobody(installation: Any) -> None:
    ann = installation.access("author")
    with installation.registry.tenant_dbs.begin(ann) as session:
        book = create_row(books, session, ann, books.body(title="Sanditon", price_cents=900, stock=1))
        sale = create_row(sales, session, ann, sales.body(book_id=book.id))
        remove_private_data(session)
        session.expire_all()
        assert (book.owner_id, sale.seller_id, book.title) == (UUID(int=0), UUID(int=0), "Sanditon")


def test_models_and_migrations_agree(check_migrations: Any) -> None:
    check_migrations()


def test_no_shop_reaches_another_by_any_route(check_leaks: Any) -> None:
    def fill(author: Any) -> None:
        book = author.post("/books", EMMA, status=201).json
        author.post("/sales", {"book_id": book["id"], "copies": 2}, status=201)

    check_leaks(fill)


def test_a_list_takes_two_statements(client: Any, recorded: Any) -> None:
    author = client("author")
    for number in range(3):
        author.post("/books", volume(number), status=201)
    with recorded() as queries:
        author.get("/books", status=200)
    assert len(queries) == 2  # the access, and the books with what was sold of each


def test_who_goes_away_is_signed_out(client: Any, clock: Any) -> None:
    author = client("author")
    clock.advance(minutes=20)
    author.get("/books", status=200)
    clock.advance(minutes=31)
    author.get("/books", status=401)


@pytest.mark.real_commits
def test_the_last_copies_are_sold_once(client: Any) -> None:
    pages = [client("author", login=f"author-{number}") for number in range(4)]
    book = pages[0].post("/books", EMMA, status=201).json
    with ThreadPoolExecutor(len(pages)) as threads:
        sale = {"book_id": book["id"], "copies": 2}
        answers = list(threads.map(lambda page: page.post("/sales", sale), pages))
    assert sorted(answer.status_int for answer in answers) == [201, 409, 409, 409]
    assert pages[0].get(f"/books/{book['id']}", status=200).json["stock"] == 1
