"""``q=`` in lists: search by words."""

from urllib.parse import quote

from alembic import command
from sqlalchemy import text

from tenantapp.databases.histories.environment import run_command
from tenantapp.databases.histories.targets import tenant_target
from tenantapp.identity.local_access import local_access
from tests.installation import Client, Installation


def titles(client: Client, query: str) -> list[str]:
    answer = client.get(f"/nodes?{query}")
    assert answer.status_int == 200, answer.text
    return [node["title"] for node in answer.json["items"]]


def test_a_list_can_be_searched(real_installation: Installation) -> None:
    bob = Client(real_installation.app).sign_in("bob", "acme")
    for title, body in (("Łódź", "a boat"), ("Rocket skates", "for coyotes"), ("Rocket fuel", "")):
        bob.post("/nodes", {"title": title, "body": body, "status": "published"})
    assert titles(bob, "q=LODZ") == ["Łódź"]
    assert titles(bob, "q=rocket+coy") == ["Rocket skates"]
    assert titles(bob, "q=rock&_sort=-title") == ["Rocket skates", "Rocket fuel"]
    assert titles(bob, "q=rock&status=draft") == []
    page = bob.get("/nodes?q=rocket&limit=1&_count=exact").json
    assert (page["count"]["rows"], page["items"][0]["title"]) == (2, "Rocket skates")
    assert titles(bob, f"q=rocket&limit=1&cursor={page['next']}") == ["Rocket fuel"]
    assert bob.get(f"/nodes?q=other&limit=1&cursor={page['next']}").status_int == 400
    for wrong in ("", "***", '"&|!()', "1 " * 3 + " ".join(map(str, range(17)))):
        answer = bob.get(f"/nodes?q={quote(wrong)}")
        assert (answer.status_int, answer.json["code"]) == (400, "invalid_query"), wrong


def test_a_database_without_words(real_installation: Installation) -> None:
    registry = real_installation.registry
    with registry.user_db.begin(read_only=True) as session:
        access = local_access(session, "acme")
    target = tenant_target(registry.fleet, access.require_tenant(), record=True)
    run_command(target, lambda config: command.downgrade(config, "c7a1f0e5d942"))
    bob = Client(real_installation.app).sign_in("bob", "acme")
    assert bob.post("/nodes", {"title": "Rocket"}).status_int == 201
    refused = bob.get("/nodes?q=rocket")
    assert (refused.status_int, refused.json["code"]) == (503, "tenant_migrating")
    run_command(target, lambda config: command.upgrade(config, "head"))
    assert titles(bob, "q=rocket") == ["Rocket"]
    with registry.tenant_dbs.begin(access, read_only=True) as session:
        assert session.execute(text("SELECT words FROM nodes_words")).scalar_one() == "rocket"
