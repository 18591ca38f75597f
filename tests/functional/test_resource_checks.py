"""The checks that a declaration gives: ours pass them, and an application that breaks its declaration fails them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from pyramid.response import Response

from tenantapp.api.conditions import send_version
from tenantapp.api.json import apply_patch
from tenantapp.api.views import MergePatch, add_api_view, path_id
from tenantapp.resources import Resource, read_row
from tenantapp.resources.answers import answer_models
from tenantapp.resources.declaration import DeclarationError
from tenantapp.resources.errors import NotFound
from tenantapp.resources.list_queries import list_query
from tenantapp.resources.views import list_view
from tenantapp.testing import Cast, CheckFailed, resource_checks
from tenantapp.testing.resource_checks import (
    Check,
    a_patch_changes_only_what_it_names,
    lost_races_change_nothing,
    others_rows_are_not_changed,
    searches_find_rows_by_their_words,
)
from tenantapp.workspace.attachments import attachments
from tenantapp.workspace.comments import comments
from tenantapp.workspace.nodes import nodes
from tests.installation import Client, Installation, rolled_back
from tests.shop import Entry, EntryIn, Product, ProductIn, app_including, entries, products, suppliers

CHECKED = [(resource, check) for resource in (products, suppliers, entries) for check in resource_checks(resource)]


def named(value: Any) -> str:
    return str(getattr(value, "name", None) or value.__name__)


def new_product(number: int) -> dict[str, Any]:
    return {"sku": f"sku-{number}", "name": f"Anvil {number}", "price_cents": 10 + number, "kind": "thing"}


def new_supplier(number: int) -> dict[str, Any]:
    return {"name": f"Acme {number}"}


def new_node(number: int) -> dict[str, Any]:
    return {"title": f"Título {number}", "body": "some words to look for", "status": "published", "tags": ["a"]}


BODIES: dict[str, Callable[[int], dict[str, Any]]] = {
    "products": new_product,
    "suppliers": new_supplier,
    "nodes": new_node,
    "entries": lambda number: {"text": f"Paid {number}"},
}


def cast_of(app: Any, resource: Resource[Any]) -> Cast:
    def person(login: str | None, tenant: str = "acme") -> Any:
        client = Client(app)
        if login is not None:
            client.sign_in(login, tenant)
        return lambda method, path, body=None, headers=None: client.request(method, path, body, **headers or {})

    people = {"writer": person("bob"), "colleague": person("both"), "reader": person("rita"), "nobody": person(None)}
    return Cast(**people, elsewhere=person("gina", "globex"), body=BODIES[resource.name])


@pytest.mark.parametrize(("resource", "check"), CHECKED, ids=named)
def test_a_declared_resource_passes_its_checks(shop: Installation, resource: Resource[Any], check: Check) -> None:
    check(resource, cast_of(shop.app, resource))


def test_the_nodes_of_the_workspace_pass_theirs(real_installation: Installation) -> None:
    cast = cast_of(real_installation.app, nodes)
    for check in resource_checks(nodes):
        check(nodes, cast)


def test_what_is_at_nodes_passes_its_checks(shared_on_sqlite: Installation) -> None:
    with rolled_back(shared_on_sqlite) as installation:
        bob = Client(installation.app).sign_in("bob", "acme")
        node = bob.post("/nodes", {"title": "x"}).json["id"]

        def attachment(number: int) -> dict[str, Any]:
            return {"node_id": node, "file_id": bob.upload(f"{number}.txt", b"x").json["id"]}

        for resource, body in (
            (comments, lambda number: {"node_id": node, "text": f"Why {number}?"}),
            (attachments, attachment),
        ):
            cast = replace(cast_of(installation.app, nodes), body=body)
            for check in resource_checks(resource):
                check(resource, cast)


def test_the_checks_follow_the_declaration() -> None:
    assert lost_races_change_nothing in resource_checks(suppliers)
    assert not {others_rows_are_not_changed, searches_find_rows_by_their_words} & {*resource_checks(suppliers)}
    assert searches_find_rows_by_their_words in resource_checks(nodes)
    assert a_patch_changes_only_what_it_names not in resource_checks(entries)
    with pytest.raises(ValueError, match="cannot add readings"):
        resource_checks(only_read(can=()))


def test_what_clients_cannot_do_is_no_call(shop: Installation) -> None:
    bob = Client(shop.app).sign_in("bob", "acme")
    calls = bob.request("GET", "/openapi.json").json["paths"]
    assert set(calls["/api/v1/entries"]) == {"get", "post"}
    assert set(calls["/api/v1/entries/{id}"]) == {"get"}
    for method, body in (("PATCH", {"text": "b"}), ("DELETE", None)):
        assert bob.request(method, "/entries?text=a", body).status_int == 405


@pytest.mark.parametrize("can", ["create", ("create", "remove")])
def test_what_clients_can_do_is_named_by_operations(can: Any) -> None:
    with pytest.raises(DeclarationError, match="some of create, change, delete"):
        only_read(can=can)


def only_read(can: Any) -> Resource[Any]:
    return Resource("readings", Entry, body=EntryIn, read="content.read", write="content.create", can=can)


def test_an_application_that_breaks_its_declaration_fails(shop: Installation) -> None:
    app = broken_app(shop)
    cast = cast_of(app, products)
    found = {}
    for check in resource_checks(products):
        try:
            check(products, cast)
        except CheckFailed as failed:
            found[check] = str(failed)
    assert [check.__name__ for check in found] == [
        "a_row_is_made_read_changed_and_deleted",
        "pages_show_every_row_once_in_each_order",
        "others_rows_are_not_changed",
        "lost_races_change_nothing",
        "filters_find_rows_by_what_they_show",
    ]
    assert found[others_rows_are_not_changed].startswith("PATCH /products/")
    assert "is answered by 200, and not 403 not_owner" in found[others_rows_are_not_changed]


def broken_app(shop: Installation) -> Any:
    """The application with views that forget the owner, the version, a row of each page, and how to delete."""

    def change(request: Any) -> Any:
        """Change a product, whoever owns it."""
        row = request.tenant_session.get(Product, path_id(request))
        if row is None:
            raise NotFound("product")
        changed = apply_patch(request.checked_body, ProductIn.model_validate(row, from_attributes=True, strict=False))
        for name, value in changed:
            setattr(row, name, value)
        request.tenant_session.flush()
        shown = read_row(products, request.tenant_session, row.id)
        send_version(request, shown.version or 0)
        return shown.json

    def some(request: Any) -> Any:
        """Return a page without its first row."""
        page = list_view(products)(request)
        return page | {"items": page["items"][1:]}

    def keep(request: Any) -> Response:
        """Delete nothing."""
        read_row(products, request.tenant_session, path_id(request))
        return Response(status=204)

    def includeme(config: Any) -> None:
        for resource in (suppliers, products):
            config.add_resource(resource)
        view = partial(add_api_view, config)
        row, page = (answer_models(products).row, answer_models(products).page)
        patch: Any = MergePatch[ProductIn]
        view(change, "product", "PATCH", permission="content.create", body=patch, answer=row, headers=("ETag",))
        listed = {"query": list_query(products), "answer": page, "headers": ("Link",)}
        view(some, "products", "GET", permission="content.read", **listed)
        view(keep, "product", "DELETE", permission="content.create", answer=None)

    return on_databases_of(shop, app_including(shop, includeme))


def on_databases_of(installation: Installation, app: Any) -> Any:
    for name in ("user_db", "tenant_dbs", "access_reader"):
        setattr(app.registry, name, getattr(installation.registry, name))
    return app
