"""The line that each request leaves in the log, and what it says of people who are denied something."""

import logging
from typing import Any

import pytest

from tests.installation import Client, Installation


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Any:
    """Returns the status, the person and the tenant of the last request, and checks the text of its line."""
    caplog.set_level(logging.INFO, "tenantapp.requests")

    def last() -> tuple[int, str | None, str | None]:
        line: Any = next(record for record in reversed(caplog.records) if record.name == "tenantapp.requests")
        person, tenant = getattr(line, "person", None), getattr(line, "tenant", None)
        assert person is None or line.getMessage().endswith(f": person {person}, tenant {tenant}")
        return line.status, person, tenant

    return last


def test_a_denial_names_the_person_and_the_tenant(installation: Installation, logged: Any) -> None:
    rita = Client(installation.app).sign_in("rita")
    person = rita.get("/session").json["user"]["id"]
    assert logged() == (200, None, None)
    rita.post("/nodes", {"title": "x"})
    assert logged() == (403, person, "acme")
    rita.get("/nodes", X_Tenant="globex")
    assert logged() == (403, person, "globex"), "what the request names"
    rita.get("/fleet/tenants")
    assert logged() == (403, person, "acme")
    rita.get("/t/..;/nodes")
    assert logged() == (403, person, None), "what is no slug is not written into the log"
    rita.csrf_token = "wrong"
    rita.delete("/session")
    assert logged() == (403, person, "acme")
    rita.get("/nodes/x")
    assert logged() == (404, None, None)


def test_who_is_not_signed_in_has_no_name(client: Client, logged: Any) -> None:
    client.get("/nodes")
    assert logged() == (401, None, None)
    client.post("/session", {"login": "bob", "password": "wrong wrong wrong"})
    assert logged() == (401, None, None)
