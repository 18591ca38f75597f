"""A tenant database that lacks what the program expects is said to be outdated; a slip in a statement is not."""

from typing import Any

import pytest
from sqlalchemy import text

from tenantapp.workspace.models import Node
from tests.installation import Client, Installation
from tests.transactions.applications import access_to, app_with


def change(installation: Installation, *statements: str) -> None:
    """Do this to the database of acme."""
    with installation.registry.tenant_dbs.begin(access_to(installation, "acme")) as session:
        for statement in statements:
            session.execute(text(statement))


def outcome(answer: Any) -> tuple[int, str | None]:
    return answer.status_int, answer.json.get("code") if isinstance(answer.json, dict) else None


def sent(statement: str) -> Any:
    """A view that sends this SQL."""

    def view(request: Any) -> list[Any]:
        return [list(row) for row in request.tenant_session.execute(text(statement))]

    return view


def late(request: Any) -> dict[str, Any]:
    """Written only with the commit."""
    request.tenant_session.add(Node(title="late", body="", owner_id=request.access.person.id))
    return {}


OUTDATED = (503, "tenant_outdated")
SLIP = (500, "internal_error")


def test_what_the_database_lacks_is_no_fault_of_the_program(
    real_installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with(
        real_installation,
        misspelt=sent("SELECT bdoy FROM nodes"),
        elsewhere=sent("SELECT status FROM tags"),
        unknown=sent("SELECT 1 FROM nods"),
        right=sent("SELECT body FROM nodes"),
        late=late,
    )
    bob, both = Client(app).sign_in("bob", "acme"), Client(app).sign_in("both", "globex")
    part = [{"method": "GET", "path": "/tags"}, {"method": "POST", "path": "/nodes", "body": {"title": "x"}}]
    assert outcome(bob.get("/x/right")) == (200, None)
    change(real_installation, "ALTER TABLE nodes DROP COLUMN body")
    for answer in (
        bob.get("/nodes"),
        bob.get("/x/right"),
        bob.post("/x/right", {}),
        bob.post("/x/late", {}),
        bob.post("/nodes", {"title": "x"}),
        bob.post("/batch", {"requests": part}),
    ):
        assert outcome(answer) == OUTDATED, answer.text
        assert int(answer.headers["Retry-After"]) > 0
    assert "The database of acme lacks the column nodes.body. Run `tenantapp migrate --only acme`." in caplog.text
    for name in ("misspelt", "elsewhere", "unknown"):
        assert outcome(bob.get(f"/x/{name}")) == outcome(bob.post(f"/x/{name}", {})) == SLIP
    assert bob.get("/tags").status_int == both.get("/nodes").status_int == 200
    assert both.get("/x/right").status_int == 200
    change(real_installation, "ALTER TABLE nodes ADD COLUMN body TEXT DEFAULT '' NOT NULL")
    assert bob.get("/nodes").status_int == 200
    change(real_installation, "DROP TABLE node_tags")
    assert outcome(bob.get("/nodes")) == OUTDATED
    assert "The database of acme lacks the table node_tags." in caplog.text
