"""Resources whose rows have whole numbers for keys, as tables have them that were there before."""

from collections.abc import Iterator
from typing import Annotated, Any, Final
from uuid import UUID

import pytest
from sqlalchemy import BigInteger, ForeignKey, Index, Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tenantapp.content import Content, one_line
from tenantapp.identity.permissions import Permission
from tenantapp.resources import Resource
from tenantapp.tenancy.models import NAMING_CONVENTION, Tracked
from tenantapp.tenancy.row_ids import integer_of, row_id_of
from tenantapp.testing.leaks import LeakCheck
from tests.csv_files import export, lines_of, send
from tests.installation import Client, Installation, rolled_back
from tests.shop import access_of, app_including

GREATEST: Final = 2**63 - 1


class Base(DeclarativeBase):
    """Apart from the models of the application, so that its migrations do not see these."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class Customer(Tracked, Base):
    """Whose key is not called id in the database."""

    __tablename__ = "old_customers"
    __table_args__ = (Index(None, "name", "id"),)

    id: Mapped[int] = mapped_column("CustomerId", key="id", primary_key=True)
    name: Mapped[str] = mapped_column(String(50))


class Invoice(Tracked, Base):
    """A row of great numbers, with versions."""

    __tablename__ = "old_invoices"
    __table_args__ = (Index(None, "customer_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("old_customers.id"))
    total: Mapped[int]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}


class CustomerIn(Content):
    name: Annotated[str, one_line(50)]


class InvoiceIn(Content):
    customer_id: int | None = None
    total: int


RIGHTS: Final[Any] = {"read": Permission.CONTENT_READ, "write": Permission.CONTENT_CREATE}
customers: Final = Resource(
    "customers", Customer, body=CustomerIn, sorts={"id": Customer.id, "name": Customer.name}, **RIGHTS
)
invoices: Final = Resource("invoices", Invoice, body=InvoiceIn, filters={"customer_id": Invoice.customer_id}, **RIGHTS)


def includeme(config: Any) -> None:
    for resource in (customers, invoices):
        config.add_resource(resource)


@pytest.fixture(scope="module")
def apps() -> dict[int, Any]:
    """The applications with both resources: one for each installation."""
    return {}


@pytest.fixture
def office(shared_installation: Installation, apps: dict[int, Any]) -> Iterator[Installation]:
    """An installation whose tenants have both tables and record changes, rolled back after the test."""
    mark = id(shared_installation)
    app = apps.get(mark) or apps.setdefault(mark, app_including(shared_installation, includeme))
    for name in ("user_db", "tenant_dbs", "access_reader"):
        setattr(app.registry, name, getattr(shared_installation.registry, name))
    original = shared_installation.app
    shared_installation.app, shared_installation.registry = app, app.registry
    with rolled_back(shared_installation) as installation:
        for slug in ("acme", "globex"):
            with installation.registry.tenant_dbs.begin(access_of(installation, slug)) as session:
                Base.metadata.create_all(session.connection())
        yield installation
    shared_installation.app, shared_installation.registry = original, original.registry


@pytest.fixture
def bob(office: Installation) -> Client:
    return Client(office.app).sign_in("bob", "acme")


def invoice(bob: Client, total: int = 1, **values: Any) -> Any:
    answer = bob.post("/invoices", {"total": total, **values})
    assert answer.status_int == 201, answer.text
    return answer


def test_a_row_is_made_read_changed_and_deleted(bob: Client) -> None:
    made = invoice(bob, 5)
    row_id, begun = made.json["id"], made.json["version"]
    path = f"/invoices/{row_id}"
    assert isinstance(row_id, int)
    assert made.location.endswith(path)
    assert bob.get(path).json == {"id": row_id, "customer_id": None, "total": 5, "version": begun}
    assert bob.get(path, If_None_Match=made.headers["ETag"]).status_int == 304
    changed = bob.patch(path, {"total": 6}, If_Match=made.headers["ETag"])
    assert changed.json == {"id": row_id, "customer_id": None, "total": 6, "version": begun + 1}
    assert bob.patch(path, {"total": 7}, If_Match=made.headers["ETag"]).json["code"] == "version_mismatch"
    assert bob.put(path, {"total": 8}, If_Match=changed.headers["ETag"]).json["total"] == 8
    assert bob.delete(path, If_Match="*").status_int == 204
    assert bob.get(path).json["code"] == "not_found"


@pytest.mark.parametrize("name", ["customers", "invoices"])
def test_no_row_has_such_a_key(bob: Client, name: str) -> None:
    for key in ("0", "-1", "2147483648", str(GREATEST), str(GREATEST + 1), "-9223372036854775809"):
        for answer in (bob.get(f"/{name}/{key}"), bob.delete(f"/{name}/{key}"), bob.get(f"/{name}/{key}/changes")):
            assert (answer.status_int, answer.json["code"]) == (404, "not_found")


def test_an_export_reads_on_after_a_number(bob: Client) -> None:
    names = [f"c{number:02}" for number in range(30)]
    assert send(bob, ["name", *names], "/customers/import").status_int == 200
    head, *rows = lines_of(export(bob, "?_sort=-id", "/customers/export"))
    assert (head, [name for _, name in rows]) == (["id", "name"], names[::-1])
    assert [int(key) for key, _ in rows] == sorted((int(key) for key, _ in rows), reverse=True)


def test_what_is_no_key_is_no_path(bob: Client) -> None:
    number = invoice(bob).json["id"]
    for key in (
        f"0{number}",
        f"+{number}",
        f"{number}.0",
        "-0",
        "x",
        "%D9%A1",
        "9" * 20,
        "01900000-0000-7000-8000-00000000000a",
    ):
        assert bob.get(f"/invoices/{key}").status_int == 404


def test_the_database_counts_and_clients_choose_no_key(bob: Client) -> None:
    made = invoice(bob)
    for key, status in ((made.json["id"], 412), (made.json["id"] + 1, 404)):
        assert bob.put(f"/invoices/{key}", {"total": 9}, If_None_Match="*").status_int == status
    assert bob.post("/invoices", {"total": 9, "id": 77}).status_int == 422
    assert invoice(bob).json["id"] > made.json["id"]


def test_the_tag_of_a_deleted_row_counts_for_no_other(bob: Client) -> None:
    made = invoice(bob)
    path = f"/invoices/{made.json['id']}"
    bob.delete(path)
    invoice(bob)  # SQLite gives it the same key
    answer = bob.patch(path, {"total": 9}, If_Match=made.headers["ETag"])
    assert answer.status_int == (412 if bob.get(path).status_int == 200 else 404)


def test_lists_go_on_after_a_row_and_find_rows_by_their_keys(bob: Client) -> None:
    customer = bob.post("/customers", {"name": "Wile E."}).json["id"]
    made = [invoice(bob, total, customer_id=customer).json["id"] for total in range(12)]
    seen: list[int] = []
    path: str | None = "/invoices?limit=5"
    while path:
        page = bob.get(path).json
        seen += [row["id"] for row in page["items"]]
        path = page["next"] and f"/invoices?limit=5&cursor={page['next']}"
    assert seen == made
    assert len(bob.get(f"/invoices?customer_id={customer}").json["items"]) == len(made)
    for name in "ab":
        bob.post("/customers", {"name": name})
    by_name = bob.get("/customers?_sort=-name&limit=1").json
    following = bob.get(f"/customers?_sort=-name&limit=2&cursor={by_name['next']}").json
    assert [row["name"] for page in (by_name, following) for row in page["items"]] == ["b", "a", "Wile E."]
    assert bob.delete(f"/customers/{customer}", If_Match="*").json["code"] == "in_use"
    assert bob.post("/invoices", {"total": 1, "customer_id": GREATEST}).status_int == 422
    assert bob.post("/invoices", {"total": 1, "customer_id": customer + 1000}).json["code"] == "invalid_reference"


def test_changes_have_the_keys(bob: Client) -> None:
    since = bob.get("/changes").json["cursor"]
    made = invoice(bob).json
    row_id = made["id"]
    customer = bob.post("/customers", {"name": "Acme"}).json["id"]
    bob.patch(f"/customers/{customer}", {"name": "Acme Inc."})
    node = bob.post("/nodes", {"title": "x"}).json["id"]
    items = bob.get(f"/changes?since={since}").json["items"]
    assert [(each["resource"], each["id"], each["version"]) for each in items] == [
        ("invoices", row_id, made["version"]),
        ("customers", customer, None),
        ("nodes", node, 1),
    ]
    history = bob.get(f"/customers/{customer}/changes?limit=1").json
    following = bob.get(f"/customers/{customer}/changes?limit=1&cursor={history['next']}").json
    assert [each["kind"] for page in (history, following) for each in page["items"]] == ["changed", "created"]


def test_the_log_of_changes_has_every_whole_number() -> None:
    for key in (0, 1, -1, GREATEST, -GREATEST - 1):
        assert integer_of(row_id_of(key)) == key


def test_a_uuid_is_itself_in_the_log() -> None:
    assert row_id_of(UUID(int=5)) == UUID(int=5)


def test_rows_of_a_csv_file_get_keys(bob: Client) -> None:
    answer = bob.http.post(
        "/api/v1/customers/import",
        b"name\nOne\nTwo\n",
        headers={"X-CSRF-Token": bob.csrf_token, "Content-Type": "text/csv"},
    )
    assert answer.json["created"] == 2
    assert [row["name"] for row in bob.get("/customers").json["items"]] == ["One", "Two"]


def test_the_same_key_is_another_row_in_another_tenant(bob: Client, office: Installation) -> None:
    theirs = Client(office.app).sign_in("both", "globex")
    made = invoice(bob, 1).json["id"]
    assert theirs.get(f"/invoices/{made}").status_int == 404
    while (row_id := theirs.post("/invoices", {"total": 2}).json["id"]) < made:
        pass
    theirs.delete(f"/invoices/{row_id}", If_Match="*")
    assert bob.get(f"/invoices/{made}").json["total"] == 1


def test_the_document_says_that_keys_are_whole_numbers(office: Installation) -> None:
    document = office.app.registry.openapi.content
    one = document["paths"]["/api/v1/invoices/{id}"]
    (key,) = (each for each in one["get"]["parameters"] if each.get("in") == "path")
    assert key["schema"] == {"type": "integer", "format": "int64"}
    assert document["components"]["schemas"]["Invoice"]["properties"]["id"]["type"] == "integer"
    assert "201" not in one["put"]["responses"]
    (described,) = (tag["x-resource"] for tag in document["tags"] if tag["name"] == "invoices")
    assert described["undo"] is False, "a row does not come back under its key"


def test_the_leak_test_of_the_kit_replays_them(office: Installation) -> None:
    check = LeakCheck(office)
    check()
    replayed = {answer.request.path for answer in check.intruder.answers}
    assert {"/api/v1/customers/1", "/api/v1/invoices/1", "/api/v1/invoices/1/changes"} <= replayed
