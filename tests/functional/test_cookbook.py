"""The recipes of the cookbook and of the page about views: one package, on an installation of each engine."""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from importlib import import_module
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, ClassVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import UUID
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from pyramid.paster import get_app
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from tenantapp.api import PREFIX
from tenantapp.fleet.hooks import running
from tenantapp.operations.fleet import Fleet
from tenantapp.outgoing.signing import signed_headers
from tenantapp.resources import Resource, create_row
from tenantapp.tenancy import models
from tenantapp.work.inline import run_due_jobs
from tenantapp.work.worker import worker_databases
from tests.functional.conftest import Command
from tests.installation import PASSWORD, Client, Installation
from tests.shop import access_of, app_including

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {name: (DOCS / f"{name}.md").read_text() for name in ("cookbook", "views", "webhooks")}
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGES["cookbook"] + PAGES["views"], re.M | re.S)
NAMED = [
    block.removeprefix("# ").partition("\n")
    for _, block in BLOCKS
    if re.match(r"# (recipes/|receiver|onpremise)", block)
]
FILES = {name: "".join(text for other, _, text in NAMED if other == name) for name, *_ in NAMED}
# The people, the content, and the backups of both and of a file.
ONE_CUSTOMER = (
    "data/user.sqlite",
    "data/tenants/tenant_*.sqlite",
    "backups/user.sqlite",
    "backups/*/*.json",
    "backups/files/*/*.list",
)
RECIPES = [Path(name).stem for name in FILES if name.startswith("recipes/")]


class Base(DeclarativeBase):
    """In the place of ``TenantBase``, so that the migrations of other tests do not see these models."""

    metadata = MetaData(naming_convention=models.NAMING_CONVENTION)


models.TenantFile.__table__.to_metadata(Base.metadata)


@pytest.fixture(scope="session")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ModuleType]]:
    """The modules of the page, by their names."""
    place = tmp_path_factory.mktemp("cookbook")
    (place / "recipes").mkdir()
    for name, text in FILES.items():
        (place / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        patch.setattr(models, "TenantBase", Base)
        found = {name: import_module(f"recipes.{name}") for name in RECIPES}
    yield found
    for name in [name for name in sys.modules if name.partition(".")[0] == "recipes"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def kitchen(make_installation: Any, recipes: dict[str, ModuleType]) -> Iterator[Installation]:
    """An installation that serves the recipes, whose commits are real."""

    def includeme(config: Any) -> None:
        for module in recipes.values():
            for resource in vars(module).values():
                if isinstance(resource, Resource):
                    config.add_resource(resource)
        config.add_route("binned_recipe", PREFIX + recipes["bin"].ROUTE)
        for name in ("report", "sums"):
            config.add_route(name, f"{PREFIX}/{name}")
        config.add_route("balances", "/balances")
        config.scan("recipes")

    with make_installation(**{"webhooks.allow_http": "true", "webhooks.allow_private": "true"}) as installation:
        for slug in ("acme", "globex"):
            with installation.registry.tenant_dbs.begin(access_of(installation, slug)) as session:
                Base.metadata.create_all(session.connection())
        installation.app = app_including(installation, includeme)
        yield installation
        installation.app.registry.tenant_dbs.dispose()
        installation.app.registry.user_db.dispose()


@pytest.fixture
def ada(kitchen: Installation) -> Client:
    return Client(kitchen.app).sign_in("ada", "acme")


def added(who: Client, path: str, status: int = 201, **body: Any) -> Any:
    answer = who.post(path, body or None)
    assert answer.status_int == status, answer.text
    return answer.json


def pointers(answer: Any) -> list[str]:
    return [error["pointer"] for error in answer["errors"]]


def test_money_is_text_and_exact(ada: Client) -> None:
    for amount in ("9.90", "0.10", "9999999999.99"):
        assert added(ada, "/invoices", amount=amount, currency="EUR")["amount"] == amount
    assert [each["amount"] for each in ada.get("/invoices").json["items"]] == ["9.90", "0.10", "9999999999.99"]
    for wrong in ("9.905", "0", "-1", "10000000000"):
        assert pointers(added(ada, "/invoices", 422, amount=wrong, currency="EUR")) == ["/amount"]


def test_transfers_in_both_directions_lose_no_cent_and_wait_for_no_other(ada: Client, kitchen: Installation) -> None:
    one, two = (added(ada, "/accounts", balance=100)["id"] for _ in range(2))
    assert pointers(added(ada, "/transfers", 422, payer_id=one, payee_id=two, cents=101)) == ["/cents"]
    assert pointers(added(ada, "/transfers", 422, payer_id=one, payee_id=one, cents=1)) == ["/cents"]
    nobody = "01a22803-45b2-76f7-becc-41e7a58bbc43"
    assert pointers(added(ada, "/transfers", 422, payer_id=one, payee_id=nobody, cents=1)) == ["/payee_id"]

    def pay(ids: tuple[str, str]) -> list[int]:
        who = ada.copy()
        body = {"payer_id": ids[0], "payee_id": ids[1], "cents": 30}
        return [who.post("/transfers", body).status_int for _ in range(3)]

    with ThreadPoolExecutor(4) as threads:
        statuses = [status for each in threads.map(pay, [(one, two), (two, one)] * 2) for status in each]
    assert set(statuses) <= {201, 422}  # no 409, which is how a deadlock would end
    balances = [ada.get(f"/accounts/{each}").json["balance"] for each in (one, two)]
    assert sum(balances) == 200
    assert min(balances) >= 0


def test_a_view_calls_a_service_and_a_plain_view_is_guarded_too(ada: Client, kitchen: Installation) -> None:
    added(ada, "/accounts", balance=1250)
    balances = [each["balance"] for each in ada.get("/accounts").json["items"]]
    assert ada.get("/sums").json == {"accounts": len(balances), "cents": sum(balances)}
    assert ada.http.get("/balances").text == "".join(f"{cents / 100:.2f}\n" for cents in balances)
    assert Client(kitchen.app).http.get("/balances", status=401).json["code"] == "not_signed_in"


def test_who_is_invited_gets_a_mail_if_the_invitation_is_kept(ada: Client, kitchen: Installation) -> None:
    registry = kitchen.app.registry
    registry.mail_transport = kitchen.mails
    assert pointers(added(ada, "/invitations", 422, address="ann@", course="Cooking")) == ["/address"]
    part = {"method": "POST", "path": "/invitations", "body": {"address": "ann@example.com", "course": "Cooking"}}
    added(ada, "/batch", 422, requests=[part, {**part, "body": {"course": "Cooking"}}])
    run_due_jobs(registry)
    assert len(kitchen.mails) == 0
    added(ada, "/invitations", address="J\u00fcrgen@B\u00fccher.example", course="Cooking")
    run_due_jobs(registry)
    assert [mail["Subject"] for mail in kitchen.mails] == ["You are invited to Cooking"]
    assert str(kitchen.mails[0]["To"]) == "J\u00fcrgen@xn--bcher-kva.example"


@pytest.mark.parametrize("databases_of", [worker_databases, running._database], ids=["a job", "a hook of a tenant"])
def test_a_hook_leaves_a_job_wherever_a_row_is_added(
    kitchen: Installation, recipes: dict[str, ModuleType], databases_of: Any
) -> None:
    registry, resource = kitchen.app.registry, recipes["invitations"].invitations
    registry.mail_transport = kitchen.mails
    kitchen.mails.clear()
    fleet = Fleet(registry.user_db, registry.app_settings, registry.servers, registry)
    access = access_of(kitchen)
    with databases_of(fleet) as databases, databases.begin(access) as session:
        create_row(resource, session, access, resource.body(address="ann@example.com", course="Baking"))
    run_due_jobs(registry)
    assert [mail["Subject"] for mail in kitchen.mails] == ["You are invited to Baking"]


def test_what_is_deleted_comes_back_out_of_the_bin(ada: Client, kitchen: Installation) -> None:
    soup = added(ada, "/recipes", title="Soup")
    ada.delete(f"/recipes/{soup['id']}", If_Match="*")
    assert ada.get("/recipes").json["items"] == []
    other = added(ada, "/recipes", title="Soup")  # a unique value is free again
    assert added(ada, f"/bin/{soup['id']}", 409)["code"] == "already_exists"
    ada.delete(f"/recipes/{other['id']}", If_Match="*")
    assert Client(kitchen.app).sign_in("rita", "acme").post(f"/bin/{soup['id']}").status_int == 403
    assert added(ada, f"/bin/{soup['id']}", 200) == {"id": soup["id"]}
    assert [each["id"] for each in ada.get("/recipes").json["items"]] == [soup["id"]]
    assert added(ada, f"/bin/{soup['id']}", 404)["code"] == "not_found"


def test_a_room_is_booked_once(ada: Client, kitchen: Installation, recipes: dict[str, ModuleType]) -> None:
    room = added(ada, "/rooms", zone="Europe/Berlin")["id"]
    assert pointers(added(ada, "/rooms", 422, zone="Europe/Atlantis")) == ["/zone"]
    assert pointers(added(ada, "/rooms", 422, zone="../etc")) == ["/zone"]

    def book(begins: str, ends: str, who: Client = ada) -> Any:
        return who.post("/bookings", {"room_id": room, "begins_at": begins, "ends_at": ends})

    booked = book("2026-03-29T10:00:00+02:00", "2026-03-29T11:00:00+02:00").json
    assert booked["begins_at"] == "2026-03-29T08:00:00.000000Z"
    assert pointers(book("2026-03-29T08:59:00Z", "2026-03-29T09:30:00Z").json) == ["/begins_at"]
    assert pointers(book("2026-03-29T09:00:00Z", "2026-03-29T09:00:00Z").json) == ["/ends_at"]
    assert book("2026-03-29T09:00:00Z", "2026-03-29T10:00:00Z").status_int == 201  # when the first has ended
    assert ada.patch(f"/bookings/{booked['id']}", {"ends_at": "2026-03-29T09:01:00Z"}).status_int == 422
    assert ada.patch(f"/bookings/{booked['id']}", {"ends_at": "2026-03-29T08:30:00Z"}).status_int == 200
    people = [Client(kitchen.app).sign_in("ada", "acme") for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda who: book("2026-04-01T08:00:00Z", "2026-04-01T09:00:00Z", who), people))
    assert sorted(answer.status_int for answer in answers) == [201, 422, 422, 422]
    begin, end = recipes["calendar"].moments_of(date(2026, 3, 29), "Europe/Berlin")
    assert end - begin == timedelta(hours=23)
    query = f"room_id={room}&min_begins_at={begin:%Y-%m-%dT%H:%M:%SZ}&lt_begins_at={end:%Y-%m-%dT%H:%M:%SZ}"
    assert f"{query.replace(room, 'ID')}`" in PAGES["cookbook"]
    assert len(ada.get(f"/bookings?{query}").json["items"]) == 2


def test_a_picture_comes_and_goes_with_its_animal(ada: Client) -> None:
    picture = ada.upload("cat.png", b"whiskers", "image/png").json["id"]
    assert pointers(added(ada, "/animals", 422, name="Tom", picture_id=str(UUID(int=0)))) == ["/picture_id"]
    tom = added(ada, "/animals", name="Tom", picture_id=picture)["id"]
    assert ada.delete(f"/files/{picture}").json["code"] == "in_use"
    assert ada.get(f"/files/{picture}/content").body == b"whiskers"
    other = ada.upload("later.png", b"more whiskers", "image/png").json["id"]
    assert ada.patch(f"/animals/{tom}", {"picture_id": other}).status_int == 200
    assert ada.get(f"/files/{picture}").status_int == 404
    ada.delete(f"/animals/{tom}", If_Match="*")
    assert ada.get(f"/files/{other}").status_int == 404


def test_a_report_has_the_tenants_that_the_person_may_read(ada: Client, kitchen: Installation) -> None:
    both = Client(kitchen.app).sign_in("both", "globex")
    added(both, "/invoices", amount="1.00", currency="EUR")
    found = {each["tenant"]: (each["invoices"], each["failure"]) for each in both.get("/report").json["tenants"]}
    invoices = len(ada.get("/invoices").json["items"])
    assert found == {"acme": (invoices, None), "globex": (1, None)}
    assert [each["tenant"] for each in ada.get("/report").json["tenants"]] == ["acme"]


class Handler(WSGIRequestHandler):
    answered: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: Any) -> None:
        """Note the status."""
        self.answered.append(args[1])


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The receiver of the page, served in a thread; it has its address as ``url``."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGES["webhooks"], re.DOTALL)
    (tmp_path / "genuine.py").write_text(source)
    (tmp_path / "receiver.py").write_text(FILES["receiver.py"])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("RECEIVER_DATABASE", str(tmp_path / "receiver.sqlite"))
    module: Any = import_module("receiver")
    Handler.answered.clear()
    with make_server("127.0.0.1", 0, module.receive, handler_class=Handler) as server:
        module.url = f"http://127.0.0.1:{server.server_port}/"
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield module
        server.shutdown()
    module.database.close()


def test_a_delivery_is_received_once(
    ada: Client, kitchen: Installation, receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = added(ada, "/webhooks", name="Search", url=receiver.url, resources=["recipes"])
    monkeypatch.setenv("WEBHOOK_SECRET", webhook["secret"])
    bread = added(ada, "/recipes", title="Bread")
    run_due_jobs(kitchen.app.registry)
    rows = "SELECT resource, id, kind FROM changed"
    assert receiver.database.execute(rows).fetchall() == [("recipes", bread["id"], "created")]
    (delivery,) = ada.get(f"/webhooks/{webhook['id']}/deliveries").json["items"]
    added(ada, f"/webhook-deliveries/{delivery['id']}/replay", 200)
    run_due_jobs(kitchen.app.registry)
    (delivery,) = ada.get(f"/webhooks/{webhook['id']}/deliveries").json["items"]
    assert delivery["state"] == "delivered"
    assert Handler.answered == ["204", "204"]
    assert len(receiver.database.execute(rows).fetchall()) == 1
    forged = {"webhook-id": "another", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
    for headers in (forged, forged | {"webhook-timestamp": "soon"}, {}):
        with pytest.raises(HTTPError, match="400"):
            urlopen(Request(receiver.url, b"{}", headers))
    assert len(receiver.database.execute(rows).fetchall()) == 1
    lost = b'{"type": "changes.gone", "data": {"tenant": "kitchen"}}'  # about no row
    headers = signed_headers(webhook["secret"], "gone", int(time.time()), lost)
    urlopen(Request(receiver.url, lost, headers)).close()
    assert receiver.database.execute(rows).fetchall()[1:] == [(None, None, None)]


def test_one_customer_has_two_files_and_a_backup(tmp_path: Path, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the last recipe, in their order, in the directory of its ini file."""
    monkeypatch.chdir(tmp_path)
    Path("onpremise.ini").write_text(FILES["onpremise.ini"])
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGES["cookbook"], re.M | re.S)
    lines = "".join(blocks).splitlines()
    assert [line.split()[0] for line in lines] == ["export", *["tenantapp"] * 4, "python"]
    monkeypatch.setenv(*lines[0].removeprefix("export ").split("="))
    printed = []
    for line in lines[1:4]:
        result = run(*shlex.split(line, comments=True)[1:])
        assert result.status == 0, result.err
        printed.append(result.out)
    monkeypatch.setenv("TENANTAPP_FLEET_WORKER", "0")  # nobody would end it
    app = get_app("onpremise.ini")
    ann = Client(app)
    asked = ann.post("/session", {"login": "ann", "password": printed[1].split()[-1]}).json["challenge"]
    ann.post("/session", {"challenge": asked["token"], "new_password": PASSWORD}, status=201)
    ann.sign_in("ann")
    assert ann.get("/session").json["tenant"] == {"slug": "home", "name": "Our house"}
    assert ann.upload("cat.png", b"whiskers", "image/png").status_int == 201
    app.registry.tenant_dbs.dispose()
    app.registry.user_db.dispose()
    assert run(*shlex.split(lines[4])[1:]).status == 0
    subprocess.run([sys.executable, *shlex.split(lines[5])[1:]], check=True)
    found = {pattern: len(list(Path().glob(pattern))) for pattern in ONE_CUSTOMER}
    assert found == dict.fromkeys(ONE_CUSTOMER, 1)
