"""The examples of the document are bodies that the application takes."""

from collections.abc import Iterator
from typing import Any

import pytest

from tenantapp.sql.ids import uuid7
from tests.functional.fuzzing import FLEET_SLUG, World
from tests.installation import Client

# What the installation of the tests cannot do: it has one server, no store for backups, no failed operation, and an
# administrator in each tenant. No example knows a password, the token of a challenge or a link, a code or a passkey,
# and none has an identity provider.
REFUSED = {
    "post_fleet_tenant_administrator": (409, "has_administrator"),
    "post_fleet_tenant_restore": (409, "backup_refused"),
    "post_fleet_tenant_move": (409, "copy_refused"),
    "post_fleet_operation_retry": (409, "operation_refused"),
    "post_totp_confirmation": (404, "not_found"),
    "post_passkeys": (401, "challenge_ended"),
    "patch_passkey": (404, "not_found"),
    "put_identity_provider": (422, "invalid"),
    "patch_identity_provider": (404, "not_found"),
    "post_session_single_sign_on": (404, "not_found"),
    "post_provisioning_tokens": (404, "not_found"),
    **{
        f"post_{route}": (410, "link_not_valid")
        for route in ("invitation_link", "accepted_link", "declined_link", "registering_link", "link_registration")
    },
    "put_account_password": (422, "invalid"),
    "post_link_confirm_address": (410, "link_not_valid"),
    "post_link_reset_password": (410, "link_not_valid"),
    "post_link_first_password": (410, "link_not_valid"),
}

# A change of many rows needs a filter.
QUERIES = {"patch_nodes": "?status=draft", "patch_comments": f"?owner_id={uuid7()}"}


@pytest.fixture
def world(make_installation: Any) -> Iterator[World]:
    """Where people may register, and where the operator may also enter globex."""
    with make_installation(**{"identity.registration": "open"}) as installation:
        yield World(installation, also_in=(FLEET_SLUG,))


def bodies(document: Any) -> list[tuple[str, str, Any, Any]]:
    """Path, method, operation and schema of every call with a body."""
    found = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for type_, media in operation.get("requestBody", {}).get("content", {}).items():
                if type_ == "application/octet-stream":
                    continue  # any bytes
                name = media["schema"]["$ref"].rpartition("/")[2]
                found.append((path, method, operation, document["components"]["schemas"][name]))
    return found


def test_every_body_has_an_example_and_it_works(world: World) -> None:
    client = Client(world.app)
    document = client.get("/openapi.json").json
    made, tried = world.rows(), 0
    rows = {"node_id": made["node"], "file_id": made["file"]}  # no example knows the id of a row
    for path, method, operation, schema in bodies(document):
        client.sign_in("otto", "acme")
        world.put_back(operation["operationId"])
        for example in schema["examples"]:
            address = world.address(operation["operationId"], path) + QUERIES.get(operation["operationId"], "")
            answer = client.request(
                method.upper(), address, example | {name: rows[name] for name in rows.keys() & example}
            )
            works = (int(min(operation["responses"])), None)
            expected = REFUSED.get(operation["operationId"], works)
            assert (answer.status_int, answer.json.get("code")) == expected, (path, answer.text)
            tried += 1
    assert tried > 20
