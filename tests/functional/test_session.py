"""Signing in, choosing a tenant, signing out."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import event, insert, select, update

from tenantapp.credentials.passwords import hash_password, needs_rehash
from tenantapp.identity import effective, grants, tenants, users, web_sessions
from tenantapp.identity.errors import TenantUnfinished
from tenantapp.identity.models import Grant, Tenant, TenantState, User, WebSession
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tests.installation import MEMORY, PASSWORD, Client, Installation


def web_session_rows(installation: Installation) -> list[WebSession]:
    with installation.registry.user_db.begin(read_only=True) as session:
        rows = list(session.scalars(select(WebSession)))
        session.expunge_all()
    return rows


def cookie(client: Client) -> str:
    return client.http.cookies["tenantapp"]


def test_sign_in_with_one_tenant_selects_it(client: Client) -> None:
    answer = client.post("/session", {"login": "ada", "password": PASSWORD})
    assert answer.status_int == 201
    assert answer.json["user"]["login"] == "ada"
    assert answer.json["tenant"] == {"slug": "acme", "name": "Acme"}
    assert answer.json["roles"] == ["admin"]
    assert answer.json["permissions"] == [
        "content.create",
        "content.edit_any",
        "content.read",
        "jobs.manage",
        "members.manage",
        "tenant.export",
        "webhooks.manage",
    ]
    assert answer.json["tenants"] == [{"slug": "acme", "name": "Acme", "roles": ["admin"], "state": "active"}]
    assert answer.json["expires_at"].endswith("Z")
    header, _ = answer.headers.getall("Set-Cookie")
    assert header.startswith("tenantapp=")
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    assert "Secure" not in header


def test_over_https_the_cookie_is_host_bound_and_secure(installation: Installation) -> None:
    client = Client(installation.app)
    client.http.extra_environ["wsgi.url_scheme"] = "https"
    header, _ = client.post("/session", {"login": "ada", "password": PASSWORD}).headers.getall("Set-Cookie")
    assert header.startswith("__Host-tenantapp=")
    assert "; Secure" in header
    assert "; Path=/" in header
    assert "Domain" not in header


def test_sign_in_with_several_tenants_selects_none_or_the_one_asked_for(client: Client) -> None:
    answer = client.post("/session", {"login": "both", "password": PASSWORD})
    assert answer.json["tenant"] is None
    assert answer.json["roles"] == []
    assert answer.json["permissions"] == []
    assert [tenant["slug"] for tenant in answer.json["tenants"]] == ["acme", "globex"]
    answer = client.post("/session", {"login": "both", "password": PASSWORD, "tenant": "globex"})
    assert answer.json["tenant"]["slug"] == "globex"


def test_a_group_grants_a_role(client: Client) -> None:
    answer = client.post("/session", {"login": "ed", "password": PASSWORD})
    assert (answer.json["tenant"]["slug"], answer.json["roles"]) == ("acme", ["editor"])


def test_own_and_group_grants_add_up(installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        acme = tenants.get_tenant(session, "acme")
        grants.add_grant(session, acme.id, "reader", login="ed")
        granted = effective.effective_permissions(session, users.get_user(session, "ed").id, acme.id)
        assert granted.roles == ("editor", "reader")
        assert "content.edit_any" in granted.permissions
        nothing = effective.effective_permissions(session, users.get_user(session, "nobody").id, acme.id)
        assert nothing == effective.Granted((), frozenset())


def test_only_the_grants_of_the_person_are_read(installation: Installation) -> None:
    """And not those of everybody in the tenant, or in all tenants: there may be a million."""
    with installation.registry.user_db.begin() as session:
        ed, acme = users.get_user(session, "ed").id, tenants.get_tenant(session, "acme").id
        others = [{"id": uuid7(), "login": f"other-{number}", "name": "Other"} for number in range(3000)]
        session.execute(insert(User), others)
        session.execute(
            insert(Grant), [{"tenant_id": acme, "user_id": other["id"], "role": "reader"} for other in others]
        )
        connection = session.connection()
        postgresql = connection.dialect.name == "postgresql"
        if postgresql:
            connection.exec_driver_sql("ANALYZE grants")
        asked: list[Any] = []
        note: Any = lambda _, __, statement, values, *___: asked.append((statement, values))  # noqa: E731
        event.listen(connection, "before_cursor_execute", note)
        assert effective.effective_permissions(session, ed, acme).roles == ("editor",)
        assert [tenant.slug for tenant in effective.tenants_of(session, ed)] == ["acme"]
        event.remove(connection, "before_cursor_execute", note)
        explain = "EXPLAIN (ANALYZE, FORMAT JSON)" if postgresql else "EXPLAIN QUERY PLAN"
        plans = [connection.exec_driver_sql(f"{explain} {statement}", values).all() for statement, values in asked]
        session.rollback()
    assert len(plans) == 2
    for plan in plans:
        if postgresql:
            assert max(_rows_read(plan[0][0][0]["Plan"])) < 20, plan
        else:
            of_grants = [step[-1] for step in plan if " grants" in step[-1]]
            assert len(of_grants) == 2, plan
            assert all("user_id=?" in step or "group_id" in step for step in of_grants), plan


def _rows_read(plan: dict[str, Any]) -> Iterator[float]:
    """The rows that PostgreSQL has looked at in each step of a plan."""
    yield plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))
    for each in plan.get("Plans", ()):
        yield from _rows_read(each)


@pytest.mark.parametrize(
    ("login", "password"), [("ada", "wrong password"), ("unknown", PASSWORD), ("gone", PASSWORD), ("a b", PASSWORD)]
)
def test_wrong_credentials_all_look_alike(client: Client, login: str, password: str) -> None:
    answer = client.post("/session", {"login": login, "password": password})
    assert answer.status_int == 401
    assert answer.json["code"] == "invalid_credentials"
    assert answer.json["detail"] == "The login or the password is wrong."
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("tenant", ["globex", "unknown", "no slug at all!"])
def test_a_tenant_that_is_not_granted_or_unknown_is_forbidden(
    installation: Installation, client: Client, tenant: str
) -> None:
    answer = client.post("/session", {"login": "ada", "password": PASSWORD, "tenant": tenant})
    assert (answer.status_int, answer.json["code"]) == (403, "tenant_forbidden")
    assert web_session_rows(installation) == []


def test_a_suspended_tenant_is_forbidden_when_choosing(installation: Installation, client: Client) -> None:
    with installation.registry.user_db.begin() as session:
        tenants.suspend_tenant(session, "acme", "unpaid")
    answer = client.post("/session", {"login": "ada", "password": PASSWORD, "tenant": "acme"})
    assert (answer.status_int, answer.json["code"]) == (403, "tenant_forbidden")


def test_the_session_tells_which_tenants_are_served(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, user_db = Client(installation.app).sign_in("both", "acme"), installation.registry.user_db

    def states() -> dict[str, str]:
        read = both.get("/session", **{"X-Tenant": "globex"}).json
        assert read["tenants"] == both.get("/session").json["tenants"]
        return {tenant["slug"]: tenant["state"] for tenant in read["tenants"]}

    def change(**values: Any) -> None:
        with user_db.begin() as session:
            session.execute(update(Tenant).where(Tenant.slug == "acme").values(**values))

    assert states() == {"acme": "active", "globex": "active"}
    change(migrating_until=utcnow() + timedelta(minutes=1))
    assert states() == {"acme": "migrating", "globex": "active"}
    change(state=TenantState.SUSPENDED)
    assert states() == {"acme": "suspended", "globex": "active"}
    # Who has one tenant beside suspended ones is taken there.
    assert both.post("/session", {"login": "both", "password": PASSWORD}).json["tenant"]["slug"] == "globex"
    both.sign_in("both", "globex")
    change(state=TenantState.ACTIVE, migrating_until=utcnow() - timedelta(minutes=1))
    assert states() == {"acme": "active", "globex": "active"}
    change(revision="0")
    monkeypatch.setattr(installation.registry.access_reader, "outdated", frozenset({"0"}))
    assert states() == {"acme": "migrating", "globex": "active"}
    for state in (TenantState.DELETED, TenantState.CREATING):
        change(state=state)
        assert states() == {"globex": "active"}


def test_only_a_hash_is_stored_and_the_password_never_comes_back(installation: Installation, client: Client) -> None:
    answer = client.post("/session", {"login": "ada", "password": PASSWORD})
    [row] = web_session_rows(installation)
    assert row.token_hash == web_sessions.hash_token(cookie(client))
    assert cookie(client) not in answer.text
    assert len(cookie(client)) == 43


def test_login_is_found_however_it_is_typed(client: Client) -> None:
    assert client.post("/session", {"login": "ADA", "password": PASSWORD}).status_int == 201


def test_reading_the_session(client: Client) -> None:
    assert client.get("/session").json["code"] == "not_signed_in"
    client.sign_in("ada")
    answer = client.get("/session")
    assert answer.status_int == 200
    assert answer.json["csrf_token"] == client.csrf_token
    assert answer.headers["Cache-Control"] == "no-store"


def test_switching_gives_a_new_id_and_the_old_one_dies(installation: Installation, client: Client) -> None:
    client.sign_in("both")
    old_cookie, old_token = cookie(client), client.csrf_token
    answer = client.switch("globex")
    assert answer.status_int == 200
    assert answer.json["tenant"]["slug"] == "globex"
    assert cookie(client) != old_cookie
    assert client.csrf_token != old_token
    assert len(web_session_rows(installation)) == 1
    thief = Client(installation.app)
    thief.http.set_cookie("tenantapp", old_cookie)
    assert thief.get("/session").status_int == 401


def test_switching_to_a_forbidden_tenant_changes_nothing(client: Client) -> None:
    client.sign_in("both", "acme")
    before = cookie(client)
    assert client.switch("unknown").json["code"] == "tenant_forbidden"
    assert cookie(client) == before
    assert client.get("/session").json["tenant"]["slug"] == "acme"


def test_signing_in_again_ends_the_browsers_old_session(installation: Installation, client: Client) -> None:
    client.sign_in("ada")
    client.sign_in("ada")
    assert len(web_session_rows(installation)) == 1


def test_sign_out_deletes_the_row_and_clears_the_cookie(installation: Installation, client: Client) -> None:
    client.sign_in("ada")
    token = cookie(client)
    answer = client.delete("/session")
    assert answer.status_int == 204
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert web_session_rows(installation) == []
    client.http.set_cookie("tenantapp", token)
    assert client.get("/session").status_int == 401


def test_devices_are_listed_and_can_be_ended(installation: Installation) -> None:
    here, there = Client(installation.app).sign_in("ada"), Client(installation.app).sign_in("ada")
    stranger = Client(installation.app).sign_in("gina")
    items = here.get("/sessions").json["items"]
    assert [item["current"] for item in items] == [False, True]
    assert items[1]["tenant"] == {"slug": "acme", "name": "Acme"}
    assert stranger.delete(f"/sessions/{items[0]['id']}").status_int == 404
    assert there.get("/session").status_int == 200
    assert here.delete(f"/sessions/{items[0]['id']}").status_int == 204
    assert there.get("/session").status_int == 401
    assert here.delete(f"/sessions/{items[0]['id']}").status_int == 404


@pytest.mark.parametrize(
    "aged", [{"last_seen_at": timedelta(minutes=31)}, {"expires_at": timedelta(seconds=1)}], ids=["idle", "absolute"]
)
def test_sessions_expire_and_are_swept(installation: Installation, client: Client, aged: dict[str, timedelta]) -> None:
    client.sign_in("ada")
    values = {name: utcnow() - age for name, age in aged.items()}
    with installation.registry.user_db.begin() as session:
        session.execute(update(WebSession).values(values))
    assert client.get("/session").json["code"] == "not_signed_in"
    with installation.registry.user_db.begin() as session:
        assert web_sessions.sweep(session, installation.registry.lifetimes) == 1
    assert web_session_rows(installation) == []


def test_last_seen_is_written_at_most_once_a_minute(installation: Installation, client: Client) -> None:
    client.sign_in("ada")

    def last_seen(age: timedelta | None = None) -> Any:
        with installation.registry.user_db.begin() as session:
            if age is not None:
                session.execute(update(WebSession).values(last_seen_at=utcnow() - age))
            return session.scalar(select(WebSession.last_seen_at))

    before = last_seen(timedelta(seconds=55))
    client.get("/session")
    assert last_seen() == before
    before = last_seen(timedelta(seconds=65))
    client.get("/session")
    assert last_seen() > before + timedelta(seconds=60)


def test_the_hash_is_renewed_when_the_parameters_have_moved(installation: Installation, client: Client) -> None:
    other = hash_password(PASSWORD, 2 * MEMORY)
    with installation.registry.user_db.begin() as session:
        users.get_user(session, "ada").password_hash = other
    client.sign_in("ada")
    with installation.registry.user_db.begin(read_only=True) as session:
        stored = session.scalar(select(User.password_hash).where(User.login == "ada"))
    assert stored != other
    assert not needs_rehash(stored, MEMORY)
    assert client.post("/session", {"login": "ada", "password": PASSWORD}).status_int == 201


def test_disabling_ends_sessions_and_a_new_password_too(installation: Installation, client: Client) -> None:
    client.sign_in("ada")
    with installation.registry.user_db.begin() as session:
        users.set_enabled(session, "ada", False)
    assert client.get("/session").status_int == 401
    with installation.registry.user_db.begin() as session:
        users.set_enabled(session, "ada", True)
    assert client.get("/session").status_int == 401
    client.sign_in("ada")
    with installation.registry.user_db.begin() as session:
        users.set_password(session, "ada", hash_password("another password", MEMORY))
    assert client.get("/session").status_int == 401


def test_what_changes_in_the_user_database_holds_from_the_next_request(
    installation: Installation, client: Client
) -> None:
    client.sign_in("bob")
    assert client.get("/nodes").status_int == 200
    with installation.registry.user_db.begin() as session:
        tenants.suspend_tenant(session, "acme", "50% of May's invoice is open: %s")
    answer = client.get("/nodes")
    assert (answer.status_int, answer.json["code"]) == (403, "tenant_suspended")
    assert answer.json["reason"] == "50% of May's invoice is open: %s"
    assert "50% of May's invoice is open: %s" in answer.json["detail"]
    with installation.registry.user_db.begin() as session:
        tenants.resume_tenant(session, "acme")
        tenants.rename_tenant(session, "acme", "acme-inc")
    assert client.get("/nodes").status_int == 200
    assert client.get("/session").json["tenant"]["slug"] == "acme-inc"
    with installation.registry.user_db.begin() as session:
        acme = tenants.get_tenant(session, "acme-inc")
        session.delete(grants.find_grant(session, acme.id, "author", login="bob"))
    answer = client.get("/nodes")
    assert (answer.status_int, answer.json["code"]) == (403, "tenant_forbidden")
    assert client.get("/session").json["tenant"] is None


def test_disabled_means_signed_out_even_with_a_session_left(installation: Installation, client: Client) -> None:
    client.sign_in("ada")
    with installation.registry.user_db.begin() as session:
        users.get_user(session, "ada").enabled = False
    assert client.get("/session").json["code"] == "not_signed_in"


def test_a_selected_tenant_that_is_being_made_is_unavailable(installation: Installation, client: Client) -> None:
    client.sign_in("ada")
    with installation.registry.user_db.begin() as session:
        tenants.get_tenant(session, "acme").state = TenantState.CREATING
    assert client.get("/nodes").json["code"] == "tenant_unavailable"


def test_every_refused_sign_in_hashes_once(
    installation: Installation, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it takes the same time whether the login is unknown, the password wrong or the person disabled."""
    verified: list[str] = []

    real = PasswordHasher.verify

    def verify(hasher: PasswordHasher, password_hash: str, password: bytes) -> bool:
        verified.append(password_hash)
        return real(hasher, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    with installation.registry.user_db.begin() as session:
        users.create_user(session, "no-password")
    for login, password in (("unknown", PASSWORD), ("ada", "wrong"), ("gone", PASSWORD), ("no-password", PASSWORD)):
        verified.clear()
        assert client.post("/session", {"login": login, "password": password}).status_int == 401
        assert len(verified) == 1, login
        assert verified[0].startswith(f"$argon2id$v=19$m={MEMORY},t=2,p=1$")


def test_a_tenant_that_is_being_made_is_neither_served_nor_suspended(installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        tenant = tenants.get_tenant(session, "acme")
        tenant.state = TenantState.CREATING
        session.flush()
        with pytest.raises(TenantUnfinished):
            tenants.suspend_tenant(session, "acme", "unpaid")
    client = Client(installation.app)
    answer = client.post("/session", {"login": "ada", "password": PASSWORD})
    assert (answer.json["tenant"], answer.json["tenants"]) == (None, [])


@pytest.mark.parametrize("token", ["", "wrong"])
def test_an_unsafe_request_needs_the_csrf_token(client: Client, token: str) -> None:
    client.sign_in("bob")
    client.csrf_token = token
    answer = client.post("/nodes", {"title": "x"})
    assert (answer.status_int, answer.json["code"]) == (403, "csrf_failed")
    assert client.delete("/session").json["code"] == "csrf_failed"
    assert client.get("/nodes").json["items"] == []


def test_the_token_of_another_session_is_wrong(installation: Installation) -> None:
    bob, ada = Client(installation.app).sign_in("bob"), Client(installation.app).sign_in("ada")
    bob.csrf_token = ada.csrf_token
    assert bob.post("/nodes", {"title": "x"}).json["code"] == "csrf_failed"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "https://localhost"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "http://localhost"},
        {"Sec_Fetch_Site": "cross-site, same-origin"},
        {"Sec_Fetch_Site": ""},
        {"Origin": ""},
    ],
)
def test_requests_from_other_sites_are_refused_on_plain_http_too(client: Client, headers: dict[str, str]) -> None:
    answer = client.post("/session", {"login": "ada", "password": PASSWORD}, **headers)
    assert (answer.status_int, answer.json["code"]) == (403, "csrf_failed")
    client.sign_in("bob")
    assert client.post("/nodes", {"title": "x"}, **headers).json["code"] == "csrf_failed"
    assert client.get("/nodes", **headers).status_int == 200


def test_our_own_page_passes(client: Client) -> None:
    """``Sec-Fetch-Site`` decides: with ``Referrer-Policy: no-referrer`` a browser sends ``Origin: null``."""
    for headers in (
        {"Sec_Fetch_Site": "same-origin", "Origin": "http://localhost"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "null"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "http://localhost"},
        {},
    ):
        answer = client.post("/session", {"login": "ada", "password": PASSWORD}, **headers)
        assert answer.status_int == 201, headers


def test_a_sign_out_has_the_browser_forget_what_it_kept(client: Client) -> None:
    client.sign_in("ada", "acme")
    answer = client.delete("/session")
    assert (answer.status_int, answer.headers["Clear-Site-Data"]) == (204, '"cache"')
    assert answer.headers["Cache-Control"] == "no-store"
