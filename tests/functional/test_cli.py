"""The command line, on SQLite: what it does, what it prints, and how it fails."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tenantapp.cli.installation import Installation
from tenantapp.credentials.counters import DatabaseCounters
from tenantapp.credentials.errors import TooManyAttempts
from tenantapp.credentials.models import AuthenticatorApp
from tenantapp.credentials.passwords import MEMORY, verify_password
from tenantapp.credentials.throttling import FREE, Attempt, Kind, Throttle
from tenantapp.fleet.querying.parallel import databases_of_our_own
from tenantapp.identity import roles
from tenantapp.identity.encrypted import encrypt
from tenantapp.identity.local_access import local_access
from tenantapp.identity.models import ApiToken, RolePermission, Tenant, TenantState, WebSession
from tenantapp.identity.tenants import get_tenant
from tenantapp.identity.token_text import is_token
from tenantapp.identity.users import get_user
from tenantapp.identity.web_sessions import lifetimes_of, new_token, start
from tenantapp.mail.outbox_models import OutgoingMail
from tenantapp.resources import find_rows
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Person
from tenantapp.tenancy.user_database import user_database
from tenantapp.workspace.nodes import nodes as notes
from tests.functional.conftest import INI, Command

ROOT = Path(__file__).parents[2]
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
    stored = on_user_database(ini, lambda session: get_user(session, "ada").password_hash)
    assert verify_password(stored, PASSWORD, MEMORY)
    done("users", "passwd", "ada", "--password-stdin", given="three otters juggling\r\n")
    stored = on_user_database(ini, lambda session: get_user(session, "ada").password_hash)
    assert verify_password(stored, "three otters juggling", MEMORY)
    done("users", "disable", "ada")
    assert not done("users", "list", "--json").json["items"][0]["enabled"]
    done("users", "enable", "ada")
    assert done("users", "list", "--json").json["items"][0]["enabled"]


def test_a_password_follows_the_rule_and_is_given_in_one_way(done: Command, failed: Callable[..., str]) -> None:
    assert "15 to 1024" in failed("users", "add", "ada", "--password-stdin", given="short\n")
    assert "at most" in failed("users", "add", "ada", "--password-stdin", "--initial-password", given=PASSWORD)
    assert done("users", "list", "--json").json == {"items": []}


def test_a_person_sets_their_password_by_a_link(
    done: Command, run: Command, failed: Callable[..., str], ini: Path
) -> None:
    printed = run("users", "add", "Ada")
    assert "http://localhost:6599/links/first-password#" in printed.out
    assert "web.address is not set" in printed.err
    assert "set mail.url" in failed("users", "address", "ada", "ada@example.com")
    assert "set mail.url" in failed("users", "add", "bob", "--address", "bob@example.com")
    with ini.open("a") as file:
        file.write(
            "web.address = https://app.example.com\nmail.url = file://%(here)s/mail/\nmail.from = app@example.com\n"
        )
    again = done("users", "passwd", "ada")
    assert (again.err, again.out.splitlines()[1].partition("#")[0]) == (
        "",
        "https://app.example.com/links/first-password",
    )
    assert "is sent to bob@example.com" in done("users", "add", "bob", "--address", "bob@example.com").out
    stored = on_user_database(ini, lambda session: get_user(session, "ada").password_hash)
    assert stored is None
    made = [
        (entry["action"], entry["detail"].get("mailed")) for entry in done("fleet", "audit", "--json").json["items"]
    ]
    assert made[:5] == [
        ("password.link", True),
        ("user.create", None),
        ("password.link", False),
        ("password.link", False),
        ("user.create", None),
    ]


def test_a_person_gets_an_initial_password(done: Command, ini: Path) -> None:
    passwords = [
        done("users", *command, "--initial-password").out.splitlines()[-1]
        for command in (("add", "ada"), ("passwd", "ada"))
    ]
    assert passwords[0] != passwords[1]

    def stored(session: Session) -> tuple[str | None, bool]:
        user = get_user(session, "ada")
        return user.password_hash, user.password_initial

    password_hash, initial = on_user_database(ini, stored)
    assert initial
    assert verify_password(password_hash, passwords[1], MEMORY)
    done("users", "passwd", "ada", "--password-stdin", given=PASSWORD)
    assert on_user_database(ini, stored)[1] is False
    entries = done("fleet", "audit", "--json").json["items"]
    assert [(entry["action"], entry["detail"]["how"]) for entry in entries[:3]] == [
        ("password.set", "stdin"),
        ("password.set", "initial"),
        ("user.create", "initial"),
    ]


def test_a_person_is_told_of_a_password_that_an_operator_sets(
    done: Command, failed: Callable[..., str], ini: Path
) -> None:
    done("users", "add", "ada", "--password-stdin", given=PASSWORD)
    assert "15 to 1024" in failed("users", "passwd", "ada", "--password-stdin", given="kettle-42")

    def give_factor(session: Session) -> None:
        ada = get_user(session, "ada")
        ada.mail_address = "ada@example.com"
        session.add(AuthenticatorApp(user_id=ada.id, secret="", confirmed_at=utcnow()))
        session.commit()

    def told(session: Session) -> list[str]:
        return [mail.message["subject"] for mail in session.scalars(select(OutgoingMail))]

    on_user_database(ini, give_factor)
    done("users", "passwd", "ada", "--password-stdin", given="kettle-42")
    assert on_user_database(ini, told) == [], "nothing can be mailed without the settings"
    with ini.open("a") as file:
        file.write(
            "web.address = https://app.example.com\nmail.url = file://%(here)s/mail/\nmail.from = a@example.com\n"
        )
    done("users", "passwd", "ada", "--password-stdin", given="kettle-43")
    done("users", "passwd", "ada", "--initial-password")
    assert on_user_database(ini, told) == ["Your password was changed"] * 2


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

    done("roles", "allow", "reader", "content.create")
    assert reader() == ["content.create", "content.read"]
    done("roles", "deny", "reader", "content.create")
    assert reader() == ["content.read"]
    assert "does not hold" in failed("roles", "deny", "reader", "content.creat")
    assert "did you mean content.read?" in failed("roles", "allow", "reader", "contnet.raed")
    assert reader() == ["content.read"]


def test_roles_are_added_and_removed(done: Command, failed: Callable[..., str]) -> None:
    done("roles", "add", "clerk", "--after", "reader")
    assert [role["name"] for role in done("roles", "list", "--json").json["items"]][:2] == ["reader", "clerk"]
    done("roles", "remove", "clerk")
    assert "There is no role clerk" in failed("roles", "remove", "clerk")
    assert "There is no role raeder" in failed("roles", "add", "clerk", "--after", "raeder")
    assert "already exists" in failed("roles", "add", "admin")


DECLARING = """
def includeme(config):
    config.add_permission("sales.record", "Sell", held_by=["author"])
"""


def test_init_adds_what_the_domain_declares(
    done: Command, ini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "declaring.py").write_text(DECLARING)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TENANTAPP_TENANTAPP_DOMAIN", "declaring")
    monkeypatch.setenv("TENANTAPP_MIGRATIONS_TENANT", str(ROOT / "alembic" / "tenant"))
    assert "The role author holds sales.record." in done("init").out
    done("roles", "deny", "author", "sales.record")
    assert "sales.record" not in done("init").out
    assert on_user_database(ini, lambda session: session.get(RolePermission, ("author", "sales.record"))) is None


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
    assert "already" in failed("grants", "add", "ada", "acme", "--role", "admin")
    for role in ("reader", "author"):
        done("grants", "add", "ada", "acme", "--role", role)
    done("grants", "remove", "ada", "acme", "--role", "reader")
    assert "reader" in failed("grants", "remove", "ada", "acme", "--role", "reader")
    items = done("grants", "list", "acme", "--json").json["items"]
    assert [item["role"] for item in items if item["grantee"] == "ada"] == ["admin", "author"]
    # The operator may, where an administrator of the tenant may not.
    done("grants", "remove", "ada", "acme")
    done("grants", "remove", "@editors", "acme")
    assert done("grants", "list", "acme", "--json").json == {"items": []}
    entries = reversed(done("fleet", "audit", "--tenant", "acme", "--json").json["items"])
    told = [(each["action"], each["detail"]) for each in entries if each["action"].startswith("member.")]
    roles = ("admin", "editor", "reader", "author")
    assert [detail["role"] for action, detail in told if action == "member.grant"] == list(roles)
    assert [detail["role"] for action, detail in told[4:]] == ["reader", "admin", "author", "editor"]
    assert told[-1] == ("member.revoke", {"group": "editors", "role": "editor"})


def test_tokens(done: Command, failed: Callable[..., str], ini: Path) -> None:
    done("tenants", "create", "acme")
    done("users", "add", "ada", "--password-stdin", given=PASSWORD)
    assert "does not have" in failed("tokens", "add", "ada", "acme", "--name", "x", "--permission", "content.read")
    assert "at least one" in failed("tokens", "add", "ada", "acme", "--name", "x")
    done("grants", "add", "ada", "acme", "--role", "reader")
    assert "1 to 366 days" in failed("tokens", "add", "ada", "acme", "--name", "x", "--days", "400")
    whole = done("tokens", "add", "ada", "acme", "--name", "deploy").out
    assert is_token(whole.strip())
    done("tokens", "add", "ada", "acme", "--name", "read", "--permission", "content.read", "--days", "1")
    deploy, reading = done("tokens", "list", "acme", "--json").json["items"]
    assert (deploy["login"], deploy["name"], deploy["permissions"]) == ("ada", "deploy", ["content.read"])
    assert reading["expires_at"] < deploy["expires_at"]
    assert whole.strip()[5:] not in done("tokens", "list", "acme").out + done("fleet", "audit", "--json").out
    done("tokens", "revoke", deploy["id"])
    assert deploy["id"] in failed("tokens", "revoke", deploy["id"])
    on_user_database(
        ini, lambda session: session.execute(update(ApiToken).values(expires_at=utcnow() - timedelta(days=31)))
    )
    assert "1 expired API token deleted" in done("sweep").out
    assert done("tokens", "list", "acme", "--json").json == {"items": []}


def test_service_accounts(done: Command, failed: Callable[..., str]) -> None:
    done("tenants", "create", "acme", "globex")
    done("users", "add", "ada", "--password-stdin", given=PASSWORD)
    done("service-accounts", "add", "Robot", "acme", "--role", "author", "--role", "reader", "--name", "Deployer")
    [robot] = done("service-accounts", "list", "acme", "--json").json["items"]
    assert (robot["login"][:6], robot["name"], robot["enabled"]) == ("robot@", "Deployer", True)
    assert [user["service_account"] for user in done("users", "list", "--json").json["items"]] == [False, True]
    assert [item["role"] for item in done("grants", "list", "acme", "--json").json["items"]] == ["author", "reader"]
    assert "is a service account" in failed("users", "passwd", robot["login"], "--password-stdin", given=PASSWORD)
    assert "no user robot" in failed("grants", "add", robot["login"], "globex", "--role", "reader")
    for login, slug in (("robot", "globex"), ("ada", "acme"), ("zed", "acme")):
        assert f"no service account {login}" in failed("service-accounts", "remove", login, slug)
    assert done("tokens", "add", "robot", "acme", "--name", "x").out.startswith("tapp_")
    done("service-accounts", "remove", "robot", "acme")
    assert done("tokens", "list", "acme", "--json").json == {"items": []}
    assert [user["login"] for user in done("users", "list", "--json").json["items"]] == ["ada"]


def test_an_operator_unlocks_a_person(done: Command, failed: Callable[..., str], ini: Path) -> None:
    done("users", "add", "ada", "--password-stdin", given=PASSWORD)

    def guesses(session: Session) -> None:
        throttle = Throttle(DatabaseCounters(lambda: counting), 60, 600)
        for _ in range(FREE):
            throttle.count(Attempt(Kind.PASSWORD, "ada"))
        with pytest.raises(TooManyAttempts):
            throttle.count(Attempt(Kind.PASSWORD, "ada"))

    counting = user_database(Installation(ini).settings.user_db_url, autocommit=True)
    on_user_database(ini, guesses)
    assert "no user zed" in failed("users", "unlock", "zed")
    assert done("users", "unlock", "ada").out == "ada need not wait for failed sign-ins.\n"
    on_user_database(ini, guesses)
    counting.dispose()


def test_sweep(done: Command, ini: Path) -> None:
    done("users", "add", "ada", "--password-stdin", given=PASSWORD)

    def sign_in_twice(session: Session) -> None:
        lifetimes = lifetimes_of(Installation(ini).settings)
        user = get_user(session, "ada")
        person = Person(user.id, user.login, user.name)
        for _ in range(2):
            start(session, new_token(), person, None, lifetimes, None, ("password",))
        session.execute(update(WebSession).values(expires_at=utcnow()))
        start(session, new_token(), person, None, lifetimes, None, ("password",))

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


def test_no_role_makes_an_operator(done: Command, failed: Callable[..., str]) -> None:
    sentence = "The permission fleet.operate cannot be given to a role"
    assert sentence in failed("roles", "allow", "admin", "fleet.operate")


def test_a_grant_that_nobody_has_is_not_removed(done: Command, failed: Callable[..., str]) -> None:
    done("users", "add", "ada", "--password-stdin", given=PASSWORD)
    done("tenants", "create", "acme")
    assert "grant for ada" in failed("grants", "remove", "ada", "acme")


def test_where_no_server_is_postgresql_nothing_depends_on_the_secret(done: Command) -> None:
    assert done("secrets", "rotate").out == "Nothing here depends on tenancy.secret.\n"
    assert done("secrets", "rotate", "--json").json == {"items": []}


def test_a_stored_secret_that_cannot_be_read_is_named(ini: Path, done: Command, run: Command) -> None:
    done("users", "add", "ada", "--password-stdin", given=PASSWORD)

    def store(session: Session) -> None:
        ada = get_user(session, "ada").id
        session.add(AuthenticatorApp(user_id=ada, secret=encrypt("x", "another secret", "totp", str(ada))))
        session.commit()

    on_user_database(ini, store)
    told = run("secrets", "rotate")
    assert (told.status, "Those of ada cannot be read" in told.out) == (1, True)
    assert "Something depends on another secret still, on the user database" in told.err


def test_without_a_user_database(ini: Path, failed: Callable[..., str], tmp_path: Path) -> None:
    assert "tenantapp init" in failed("users", "list")
    assert "tenantapp init" in failed("tenants", "create", "acme")
    (tmp_path / "user.sqlite").touch()
    assert "tenantapp init" in failed("users", "list")


def test_a_server_that_is_down(ini: Path, failed: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTAPP_USER_DB_URL", "postgresql+psycopg2://someone@127.0.0.1:1/users")
    for arguments in (["init"], ["users", "list"], ["tenants", "create", "acme"]):
        assert "Connection refused" in failed(*arguments)


GOOD_LINES = INI.partition("[app:main]")[2]
NO_CONFIGURATIONS = {
    "an unknown setting": ("[app:main]\nuse = egg:tenantapp\nuser_db.ulr = x\n", "setting user_db.ulr is unknown"),
    "no application": ("[server:main]\n", "is not a configuration"),
    "no section": ("nothing at all\n", "is not a configuration"),
    "a line that is none": (f"[app:main]{GOOD_LINES}\nnonsense\n", "is not a configuration"),
    "a section twice": (f"[app:main]{GOOD_LINES}[app:main]\n", "is not a configuration"),
    "a variable that is not there": (f"[app:main]{GOOD_LINES}\nfleet.worker = %(jobs)s\n", "is not a configuration"),
    "a package that is not there": ("[app:main]\nuse = egg:nowhere_at_all\n", "is not a configuration"),
    "an entry point that is not there": ("[app:main]\nuse = egg:tenantapp#other\n", "is not a configuration"),
    "a module that is not there": ("[app:main]\nuse = call:nowhere:main\n", "is not a configuration"),
    "a function that is not there": ("[app:main]\nuse = call:tenantapp:nothing\n", "is not a configuration"),
    "a base that is not there": ("[app:main]\nuse = config:base.ini\n", "base.ini cannot be read: No such file"),
    "itself as its base": ("[app:main]\nuse = config:tenantapp.ini\n", "is based on itself"),
    "a toolbar that is not installed": (
        f"[app:main]{GOOD_LINES}pyramid.includes = pyramid_tm nowhere_at_all.toolbar\n",
        "setting pyramid.includes names a package that is not installed: nowhere_at_all; install it or remove it",
    ),
    "a wrong server": (
        f"[app:main]{GOOD_LINES}[server:main]\nuse = egg:tenantapp\nport = ftp\n",
        "setting server.port must be a number",
    ),
    "an oldest revision that is not there": (
        f"[app:main]{GOOD_LINES}migrations.oldest = nonsense\n",
        "setting migrations.oldest: The tenant history has no revision nonsense",
    ),
}


@pytest.mark.parametrize("mistake", NO_CONFIGURATIONS)
def test_a_configuration_that_cannot_be_used_is_said_in_a_sentence(
    ini: Path, failed: Callable[..., str], mistake: str
) -> None:
    text, said = NO_CONFIGURATIONS[mistake]
    ini.write_text(text)
    for command in (["init"], ["users", "list"], ["tenants", "create", "acme"]):
        assert said in failed(*command)


def test_a_file_that_is_no_configuration_is_said_in_a_sentence(
    ini: Path, failed: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> str:
        return failed("--ini", str(path), "users", "list")

    assert refused(tmp_path / "missing.ini").startswith("There is no file ")
    assert refused(tmp_path).startswith(f"{tmp_path} is a directory; ")
    os.mkfifo(tmp_path / "fifo.ini")
    assert refused(tmp_path / "fifo.ini").startswith(f"{tmp_path}/fifo.ini is not a regular file; ")
    (tmp_path / "dangling.ini").symlink_to("nowhere")
    assert refused(tmp_path / "dangling.ini").startswith("There is no file ")
    (tmp_path / "text.txt").write_text(INI)
    assert "is not a configuration" in refused(tmp_path / "text.txt")
    ini.write_bytes(INI.encode() + b"# caf\xe9\n")
    assert refused(ini) == f"The file {ini} is not in UTF-8"
    monkeypatch.setenv("TENANTAPP_SPELLED_WRONG", "x")
    ini.write_text(INI)
    assert "TENANTAPP_SPELLED_WRONG" in failed("init")


def test_a_copy_of_our_configuration_is_refused_where_its_toolbar_is_not_installed(
    failed: Callable[..., str], tmp_path: Path
) -> None:
    copied = tmp_path / "development.ini"
    copied.write_text((ROOT / "development.ini").read_text().replace("pyramid_debugtoolbar", "not_installed"))
    refused = failed("--ini", str(copied), "tenants", "create", "acme")
    assert (
        refused
        == "setting pyramid.includes names a package that is not installed: not_installed; install it or remove it"
    )


def test_a_domain_that_does_not_start_keeps_no_command_from_its_work(
    done: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "forgetful.py").write_text(FORGETFUL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TENANTAPP_TENANTAPP_DOMAIN", "forgetful")
    monkeypatch.setenv("TENANTAPP_MIGRATIONS_TENANT", "forgetful:migrations")
    assert done("tenants", "list", "--json").json == {"items": []}


def test_another_domain_does_not_get_the_tables_of_ours(tmp_path: Path) -> None:
    program = "import tenantapp.cli, tenantapp.tenancy.models as m; print(*m.TenantBase.metadata.tables)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == [
        "tenant_identity",
        "tenant_changes",
        "tenant_change_counter",
        "tenant_idempotency_keys",
        "tenant_files",
        "tenant_jobs",
        "tenant_hooks",
        "tenant_webhooks",
        "tenant_deliveries",
    ]


def test_a_local_script_holds_the_permissions_of_the_domain_too(done: Command, ini: Path) -> None:
    done("tenants", "create", "acme")
    on_user_database(ini, lambda session: roles.allow(session, "author", "sales.record", known=["sales.record"]))
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
            with databases_of_our_own(installation.fleet.servers, 1) as databases, databases.begin(access) as session:
                found = [json.loads(node.text) for node in find_rows(notes, session, {})]
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
