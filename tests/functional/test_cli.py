"""The command line, on SQLite: what it does, what it prints, and how it fails."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from tenantapp.cli.installation import Installation
from tenantapp.identity.local_access import local_access
from tenantapp.identity.models import Tenant, TenantState, WebSession
from tenantapp.identity.passwords import verify_password
from tenantapp.identity.tenants import get_tenant
from tenantapp.identity.users import get_user
from tenantapp.identity.web_sessions import new_token, start
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.workspace.node_queries import list_page
from tests.functional.conftest import INI, Command

PASSWORD = "correct horse battery"
FORGETFUL = """
def includeme(config):
    config.add_route("shelf", "/shelf")
    config.add_view(shelf, route_name="shelf", renderer="json")


def shelf(request):
    return {}
"""


def on_user_database(ini: Path, work: Callable[[Session], Any]) -> Any:
    """What ``work`` makes of a session on the user database."""
    with closing(Installation(ini)) as installation, installation.user_session() as session:
        return work(session)


def test_help_needs_nothing(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (["--help"], ["users", "add", "--help"], ["--version"]):
        assert run(*arguments).status == 0


def test_init_is_quiet_and_repeatable(ini: Path, run: Command) -> None:
    first, second = run("init"), run("init")
    assert first == second
    assert (first.status, first.err) == (0, "")


def test_people(done: Command, ini: Path) -> None:
    done("users", "add", "Ada", "--name", "Ada [red]Lovelace", "--password-stdin", given=f"{PASSWORD}\n")
    done("users", "add", "olga", "--operator", "--password-stdin", given=PASSWORD)
    ada, olga = done("users", "list", "--json").json["items"]
    assert (ada["login"], ada["enabled"], ada["operator"], olga["operator"]) == ("ada", True, False, True)
    assert not any("password" in member for member in ada)
    assert "Ada [red]Lovelace" in done("users", "list").out
    assert verify_password(on_user_database(ini, lambda session: get_user(session, "ada").password_hash), PASSWORD)
    done("users", "passwd", "ada", "--password-stdin", given="another password\r\n")
    stored = on_user_database(ini, lambda session: get_user(session, "ada").password_hash)
    assert verify_password(stored, "another password")
    done("users", "disable", "ada")
    assert not done("users", "list", "--json").json["items"][0]["enabled"]
    done("users", "enable", "ada")
    assert done("users", "list", "--json").json["items"][0]["enabled"]


def test_a_password_needs_a_terminal_or_the_option(done: Command, failed: Callable[..., str]) -> None:
    assert "--password-stdin" in failed("users", "add", "ada")
    assert "8 to 1024" in failed("users", "add", "ada", "--password-stdin", given="short\n")
    assert done("users", "list", "--json").json == {"items": []}


def test_groups(done: Command) -> None:
    done("users", "add", "ada", "--password-stdin", given=PASSWORD)
    done("groups", "add", "editors")
    done("groups", "join", "ada", "editors")
    assert done("groups", "list", "--json").json["items"][0]["members"] == ["ada"]
    done("groups", "leave", "ada", "editors")
    assert done("groups", "list", "--json").json["items"][0]["members"] == []


def test_roles(done: Command, failed: Callable[..., str]) -> None:
    def reader() -> list[str]:
        items = done("roles", "list", "--json").json["items"]
        return next(item["permissions"] for item in items if item["name"] == "reader")

    done("roles", "allow", "reader", "reports.read")
    assert reader() == ["content.read", "reports.read"]
    done("roles", "deny", "reader", "reports.read")
    assert reader() == ["content.read"]
    assert "does not hold" in failed("roles", "deny", "reader", "reports.reed")


def test_tenants(done: Command) -> None:
    done("tenants", "create", "acme", "--name", "Acme Inc.")
    shown = done("tenants", "show", "acme", "--json").json
    assert (shown["name"], shown["state"], shown["server"]) == ("Acme Inc.", "active", "main")
    assert shown["revision"]
    done("tenants", "suspend", "acme", "--reason", "unpaid")
    suspended = done("tenants", "show", "acme", "--json").json
    assert (suspended["state"], suspended["state_reason"]) == ("suspended", "unpaid")
    done("tenants", "resume", "acme")
    done("tenants", "rename", "acme", "acme-two")
    (renamed,) = done("tenants", "list", "--json").json["items"]
    assert (renamed["slug"], renamed["state"], renamed["name"]) == ("acme-two", "active", "Acme Inc.")
    assert renamed["database"] == shown["database"]
    assert "acme-two" in done("tenants", "list").out
    assert shown["database"] in done("tenants", "show", "acme-two").out


def test_grants(done: Command, failed: Callable[..., str]) -> None:
    done("tenants", "create", "acme")
    done("users", "add", "ada", "--password-stdin", given=PASSWORD)
    done("groups", "add", "editors")
    done("grants", "add", "ada", "acme", "--role", "admin")
    done("grants", "add", "@editors", "acme", "--role", "editor")
    items = done("grants", "list", "acme", "--json").json["items"]
    assert [(item["grantee"], item["role"]) for item in items] == [("ada", "admin"), ("@editors", "editor")]
    assert "already" in failed("grants", "add", "ada", "acme", "--role", "reader")
    # The operator may, where an administrator of the tenant may not.
    done("grants", "remove", "ada", "acme")
    done("grants", "remove", "@editors", "acme")
    assert done("grants", "list", "acme", "--json").json == {"items": []}


def test_sweep(done: Command, ini: Path) -> None:
    done("users", "add", "ada", "--password-stdin", given=PASSWORD)

    def sign_in_twice(session: Session) -> None:
        with closing(Installation(ini)) as installation:
            lifetimes = installation.registry.lifetimes
        user_id = get_user(session, "ada").id
        for _ in range(2):
            start(session, new_token(), user_id, None, lifetimes, None)
        session.execute(update(WebSession).values(expires_at=utcnow()))
        start(session, new_token(), user_id, None, lifetimes, None)

    on_user_database(ini, sign_in_twice)
    assert done("sweep").out.startswith("2 expired")
    assert done("sweep").out.startswith("0 expired")


@pytest.mark.parametrize(
    "arguments",
    [
        "users disable zed",
        "users passwd zed",
        "users add two\u2028lines --password-stdin",
        "groups join zed editors",
        "roles allow boss content.read",
        "tenants show nowhere",
        "tenants suspend nowhere --reason x",
        "tenants create Not_a_slug",
        "tenants create acme --server moon",
        "grants add zed nowhere --role reader",
        "grants list nowhere",
        "revision both -m x",
        "users list --csv",
        "nonsense",
    ],
)
def test_what_is_not_there(done: Command, failed: Callable[..., str], arguments: str) -> None:
    failed(*arguments.split(" "))


def test_without_a_user_database(ini: Path, failed: Callable[..., str], tmp_path: Path) -> None:
    assert "tenantapp init" in failed("users", "list")
    assert "tenantapp init" in failed("tenants", "create", "acme")
    (tmp_path / "user.sqlite").touch()
    assert "tenantapp init" in failed("users", "list")


def test_a_server_that_is_down(ini: Path, failed: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTAPP_USER_DB_URL", "postgresql+psycopg2://someone@127.0.0.1:1/users")
    for arguments in (["init"], ["users", "list"], ["tenants", "create", "acme"]):
        assert "Connection refused" in failed(*arguments)


def test_configurations_that_cannot_be_used(
    ini: Path, failed: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "no file" in failed("--ini", str(tmp_path / "missing.ini"), "users", "list")
    for command in (["init"], ["users", "list"]):
        ini.write_text("[app:main]\nuse = egg:tenantapp\nuser_db.ulr = x\n")
        assert "user_db.ulr is unknown" in failed(*command)
        ini.write_text("[server:main]\n")
        failed(*command)
        ini.write_text("no section\n")
        failed(*command)
    ini.write_text(INI)
    monkeypatch.setenv("TENANTAPP_SPELLED_WRONG", "x")
    assert "TENANTAPP_SPELLED_WRONG" in failed("init")


def test_a_domain_that_does_not_start_is_said_in_a_sentence(
    done: Command, failed: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "forgetful.py").write_text(FORGETFUL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TENANTAPP_TENANTAPP_DOMAIN", "forgetful")
    monkeypatch.setenv("TENANTAPP_MIGRATIONS_TENANT", "forgetful:migrations")
    refused = failed("tenants", "list")
    assert refused.startswith(
        "The application does not start: The view forgetful.shelf of route shelf has no permission"
    )
    assert refused.endswith(f"(Line 4 of file {tmp_path}/forgetful.py)")


def test_another_domain_does_not_get_the_tables_of_ours(tmp_path: Path) -> None:
    program = "import tenantapp.cli, tenantapp.tenancy.models as m; print(*m.TenantBase.metadata.tables)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout == "tenant_identity\n"


def test_a_local_script_holds_the_permissions_of_the_domain_too(done: Command, ini: Path) -> None:
    done("tenants", "create", "acme")
    done("roles", "allow", "author", "sales.record")
    access = on_user_database(ini, lambda session: local_access(session, "acme"))
    assert access.may("sales.record")
    assert access.may("members.manage")


def test_demo_is_refused_unless_enabled(
    done: Command, failed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANTAPP_DEMO_ENABLED", "false")
    assert "demo.enabled" in failed("demo")


def demo_nodes(ini: Path) -> dict[str, list[tuple[str, str, int]]]:
    """Title, owner and version of the nodes in the two tenants of the demo."""
    nodes = {}
    with closing(Installation(ini)) as installation:
        for slug in ("acme", "globex"):
            with installation.user_session(read_only=True) as session:
                access = local_access(session, slug)
            with installation.registry.tenant_dbs.begin(access, read_only=True) as session:
                found = [json.loads(node.text) for node in list_page(session)]
            nodes[slug] = [(node["title"], node["owner"]["name"], node["version"]) for node in found]
    return nodes


def test_demo_is_made_once(done: Command, ini: Path) -> None:
    first = done("demo").out
    assert "http://localhost:6599/" in first
    assert "curl " in first
    nodes = demo_nodes(ini)
    assert nodes["acme"]
    assert nodes["globex"]
    assert not {title for title, *_ in nodes["acme"]} & {title for title, *_ in nodes["globex"]}
    before = [done(*command).out for command in (("users", "list", "--json"), ("tenants", "list", "--json"))]
    assert done("demo").out == first
    assert [done(*command).out for command in (("users", "list", "--json"), ("tenants", "list", "--json"))] == before
    assert demo_nodes(ini) == nodes
    assert "http://localhost:6600/" in done("demo", "--http-port", "6600").out


def test_demo_goes_on_where_it_was_killed(done: Command, ini: Path) -> None:
    done("demo")
    nodes = demo_nodes(ini)

    def half_way(session: Session) -> None:
        # As if the process had died while it made the second tenant: no grants, no nodes, a row that says so.
        tenant = get_tenant(session, "globex")
        session.delete(tenant)
        session.flush()
        session.add(
            Tenant(
                id=uuid7(),
                slug="globex",
                name="Globex",
                server="main",
                database="tenant_unfinished",
                state=TenantState.CREATING,
            )
        )
        session.delete(get_user(session, "bob"))

    on_user_database(ini, half_way)
    done("demo")
    assert demo_nodes(ini) == nodes
    assert [item["state"] for item in done("tenants", "list", "--json").json["items"]] == ["active", "active"]
    assert {item["grantee"] for item in done("grants", "list", "globex", "--json").json["items"]} == {
        "ada",
        "@editors",
    }
