"""Stock, orders and rights, over HTTP and on both engines."""

from threading import Barrier, Thread
from typing import Any

import pytest
from tenantapp.testing import Check, resource_checks
from tenantapp.work.inline import run_due_jobs

from inventory.stock import products
from low_stock import low_stock

THREADS = 8


def anvil(number: int) -> dict[str, Any]:
    """A product unlike the others."""
    return {"sku": f"a-{number}", "name": f"Anvil {number}", "reorder_level": number % 100}


@pytest.mark.parametrize("check", resource_checks(products), ids=lambda check: check.__name__)
def test_products_are_as_declared(cast: Any, check: Check) -> None:
    check(products, cast(anvil))


def new_product(admin: Any, stock: int = 0, **more: Any) -> str:
    product: str = admin.post("/products", {"sku": f"a-{stock}", "name": "Anvil", **more}, status=201).json["id"]
    if stock:
        move(admin, product, stock)
    return product


def move(who: Any, product: str, quantity: int, status: int = 201) -> Any:
    return who.post("/movements", {"product_id": product, "quantity": quantity, "reason": "Count"}, status=status).json


def stock(who: Any, product: str) -> int:
    found: int = who.get(f"/products/{product}", status=200).json["stock"]
    return found


def test_movements_change_the_stock_and_it_is_never_negative(client: Any) -> None:
    admin = client("admin")
    product = new_product(admin, 5)
    assert move(admin, product, -3)["moved_by"] == admin.get("/session", status=200).json["user"]["id"]
    refused = move(admin, product, -3, status=422)
    [error] = refused["errors"]
    assert (error["pointer"], error["detail"]) == ("/quantity", "Only 2 are in stock.")
    assert stock(admin, product) == 2
    nothing = move(admin, "01a22803-45b2-76f7-becc-41e7a58bbc43", 1, status=422)
    assert nothing["errors"][0]["pointer"] == "/product_id"
    assert admin.patch(f"/products/{product}", {"stock": 9}, status=422).json["errors"][0]["pointer"] == "/stock"


@pytest.mark.real_commits
def test_eight_at_once_take_no_piece_twice(client: Any) -> None:
    admin = client("admin")
    product = new_product(admin, 12)
    others, begin = (
        [client("admin", login=f"worker-{number}") for number in range(THREADS)],
        Barrier(THREADS, timeout=60),
    )
    answers: list[int] = []

    def take(who: Any) -> None:
        begin.wait()
        for _ in range(3):
            body = {"product_id": product, "quantity": -1, "reason": "Sold"}
            answers.append(who.request("POST", "/movements", body).status_int)

    threads = [Thread(target=take, args=(who,)) for who in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 3 * THREADS
    assert stock(admin, product) == 12 - answers.count(201) >= 0
    assert set(answers) <= {201, 422, 503}  # 503: too many wanted the same database at once
    moved = admin.get(f"/movements?product_id={product}&limit=100", status=200).json["items"]
    assert sum(each["quantity"] for each in moved) == stock(admin, product)


def new_order(admin: Any, *lines: tuple[str, int]) -> str:
    supplier = admin.post("/suppliers", {"name": "Acme"}, status=201).json["id"]
    order: str = admin.post("/orders", {"number": "2026-1", "supplier_id": supplier}, status=201).json["id"]
    for product, quantity in lines:
        body = {"order_id": order, "product_id": product, "quantity": quantity}
        admin.post("/order_lines", body, status=201)
    return order


def test_an_order_goes_its_steps_and_its_goods_come_into_stock(client: Any) -> None:
    admin = client("admin")
    product = new_product(admin, 1)
    order = new_order(admin, (product, 4), (product, 2))
    for wrong in ("received", "draft2"):
        admin.patch(f"/orders/{order}", {"state": wrong}, status=409 if wrong == "received" else 422)
    admin.patch(f"/orders/{order}", {"state": "placed"}, status=200)
    body = {"order_id": order, "product_id": product, "quantity": 1}
    assert admin.post("/order_lines", body, status=409).json["detail"] == "The order is placed."
    assert admin.delete(f"/orders/{order}", status=409).json["code"] == "wrong_state"
    assert stock(admin, product) == 1
    assert admin.patch(f"/orders/{order}", {"state": "received"}, status=200).json["state"] == "received"
    assert stock(admin, product) == 7
    admin.patch(f"/orders/{order}", {"number": "2026-2"}, status=200)
    assert stock(admin, product) == 7  # they come once
    for state in ("draft", "placed", "cancelled"):
        admin.patch(f"/orders/{order}", {"state": state}, status=409)
    assert admin.get("/orders?state=received", status=200).json["items"][0]["id"] == order


def test_who_may_do_what(client: Any) -> None:
    admin, warehouse, author = client("admin"), client("warehouse"), client("author")
    product = new_product(admin)
    move(warehouse, product, 2)
    move(author, product, 2, status=403)
    warehouse.post("/products", {"sku": "b", "name": "Bolt"}, status=403)
    supplier = author.post("/suppliers", {"name": "Acme"}, status=201).json["id"]
    author.post("/orders", {"number": "1", "supplier_id": supplier}, status=403)
    assert client("admin", tenant="south").get("/movements", status=200).json["items"] == []


def test_a_product_has_a_picture(client: Any) -> None:
    admin = client("admin")
    picture = admin.upload("anvil.png", b"an anvil", "image/png").json["id"]
    product = new_product(admin, picture_id=picture)
    assert admin.get(f"/products/{product}", status=200).json["picture_id"] == picture
    assert admin.delete(f"/files/{picture}", status=409).json["code"] == "in_use"
    missing = admin.patch(f"/products/{product}", {"picture_id": product}, status=422).json
    assert missing["errors"][0]["pointer"] == "/picture_id"
    document = client(None).get("/openapi.json", status=200).json
    (described,) = [tag["x-resource"] for tag in document["tags"] if tag["name"] == "products"]
    assert "picture_id" in described["files"]  # so the page uploads and shows it


def test_a_report_has_the_companies_in_which_somebody_may_read(client: Any, installation: Any) -> None:
    new_product(client("admin", login="ann"), 2, reorder_level=2)
    new_product(client("admin", tenant="south"), 1, reorder_level=2)
    assert list(low_stock(installation.registry, "ann")) == [("north", "a-2", "Anvil", 2, 2)]


def test_movements_stay(client: Any) -> None:
    admin = client("admin")
    product = new_product(admin, 2)
    [movement] = admin.get(f"/movements?product_id={product}", status=200).json["items"]
    for method in ("PUT", "PATCH", "DELETE"):
        body = None if method == "DELETE" else {"quantity": 1}
        admin.request(method, f"/movements/{movement['id']}", body, status=405)


def test_a_new_company_has_a_supplier(client: Any) -> None:
    [supplier] = client("reader").get("/suppliers", status=200).json["items"]
    assert supplier["name"] == "Our own workshop"


def test_what_runs_low_is_ordered_once(client: Any, installation: Any) -> None:
    admin, registry, access = client("admin"), installation.registry, installation.local_access()
    supplier = admin.post("/suppliers", {"name": "Acme"}, status=201).json["id"]
    low = new_product(admin, 2, supplier_id=supplier, reorder_level=2)
    new_product(admin, 3, supplier_id=supplier, reorder_level=2)
    new_product(admin, 4, reorder_level=9)  # from nobody
    for _ in range(2):
        with registry.tenant_dbs.begin(access) as session:
            registry.enqueue(session, access, "order_what_runs_low")
        run_due_jobs(registry)
        [order] = admin.get("/orders", status=200).json["items"]
        assert (order["supplier_id"], order["state"]) == (supplier, "draft")
        [line] = admin.get(f"/order_lines?order_id={order['id']}", status=200).json["items"]
        assert (line["product_id"], line["quantity"]) == (low, 3)


def test_no_company_reaches_another_by_any_route(check_leaks: Any) -> None:
    check_leaks()


def test_models_and_migrations_agree(check_migrations: Any) -> None:
    check_migrations()
