"""Every route, as nobody, without the permission, and with another tenant's ids."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.urldispatch import RoutesMapper
from sqlalchemy import event

from tenantapp.credentials.models import Passkey
from tenantapp.federation.models import IdentityProvider, ProvisioningToken
from tenantapp.identity.local_access import local_access
from tenantapp.identity.permissions import NOT_FOR_TOKENS, OF_NO_ROLE
from tenantapp.identity.tenants import get_tenant
from tenantapp.identity.users import get_user
from tenantapp.operations.queue import list_operations
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.models import TenantDelivery, TenantJob
from tenantapp.work.queue import new_job
from tests.installation import PASSWORD, Client, Installation

NO_ROW = "0198c2f4-8a10-7c3e-9d5b-6f1e2a3b4c5d"
BODIES: dict[str, Any] = {
    "identity_provider": {"required": False},
    "identity_provider PUT": {"name": "x", "issuer": "https://127.0.0.1", "client_id": "x"},
    "session_single_sign_on": {"tenant": "acme"},
    "provisioning_tokens": {"name": "x"},
    "domains": {"domain": "acme.example"},
    "domain": {"capture": True},
    "session": {"tenant": "acme"},
    "account": {"name": "x"},
    "account_address": {"address": "x@example.com"},
    "account_password": {"old": "wrong", "new": "three otters juggling"},
    "account_password_resets": {"login": "ada"},
    "link_confirm_address": {"token": "x"},
    "link_reset_password": {"token": "x", "password": "y"},
    "link_first_password": {"token": "x", "password": "y"},
    # The first needs one permission, the second another.
    "batch": {
        "requests": [
            {"method": "GET", "path": "/nodes"},
            {"method": "POST", "path": "/nodes", "body": {"title": "x"}},
        ]
    },
    "nodes": {"title": "x"},
    "node": {"title": "x"},
    "tags": {"name": "x"},
    "tag": {"name": "x"},
    "members": {"login": "nobody", "role": "admin"},
    "member": {"role": "admin"},
    "files": {},
    "nodes_import": {},
    "tags_import": {},
    "comments": {"node_id": NO_ROW, "text": "x"},
    "comment": {"node_id": NO_ROW, "text": "x"},
    "attachments": {"node_id": NO_ROW, "file_id": NO_ROW},
    "comments_import": {},
    "attachments_import": {},
    "webhooks": {"name": "x", "url": "https://1.1.1.1/", "resources": ["nodes"]},
    "webhook": {"name": "y"},
    "tokens": {"name": "x", "permissions": ["content.read"]},
    "reauthentication": {"code": "123456"},
    "tenant_settings": {"second_factor_required": False},
    "impersonations": {"login": "bob", "tenant": "acme", "reason": "x"},
    "totp_confirmation": {"code": "123456"},
    "passkeys": {"challenge": "x", "passkey": {}},
    "passkey": {"name": "x"},
    "service_accounts": {"login": "x", "roles": ["reader"]},
    "fleet_tenants": {"slug": "initech"},
    "fleet_tenant": {"name": "x"},
    "fleet_tenant_migrate": {},
    "fleet_query": {"statement": "SELECT 1 AS one"},
    "fleet_tenant_restore": {},
    "fleet_tenant_clone": {"slug": "initech"},
    "fleet_tenant_move": {"server": "main"},
    "fleet_adoptions": {"slug": "initech", "database": "initech"},
    "fleet_tenant_administrator": {"administrator": "rita"},
    "invitations": {"login": "nobody", "role": "reader"},
    **{f"{route}_link": {"token": "x"} for route in ("invitation", "accepted", "declined")},
    "link_registration": {"token": "x", "login": "eve", "password": "three otters juggling"},
    "registering_link": {"token": "x", "login": "eve", "password": "a long passphrase"},
}
WITHOUT_BODY = {
    "fleet_tenant_undelete", "fleet_tenant_purge", "fleet_operation_retry", "fleet_operation_cancel", "tenant_export",
    "fleet_tenant_backups", "webhook_secret", "webhook_delivery_replay", "tenant_job_retry", "tenant_job_cancel",
    "fleet_tenant_job_retry", "fleet_tenant_job_cancel", "passkey_challenges", "own_passkey_challenges", "totp",
    "new_passkey_challenges", "recovery_codes", "invitation_mail", "received_invitation", "verified_domain",
}  # fmt: skip
OPERATE = "fleet.operate"
PUBLIC = {
    ("session", "POST"), ("users", "POST"), ("passkey_challenges", "POST"),
    ("home", "GET"), ("lbheartbeat", "GET"), ("heartbeat", "GET"),
    ("version", "GET"), ("openapi", "GET"),
    ("invitation_link", "POST"), ("declined_link", "POST"), ("registering_link", "POST"),
    ("link_registration", "POST"),
    ("account_password_resets", "POST"), ("link_confirm_address", "POST"),
    ("link_reset_password", "POST"), ("link_first_password", "POST"),
    ("page_of_account", "GET"), ("page_of_tenant", "GET"), ("page_of_fleet", "GET"), ("page_of_operator", "GET"),
    ("page_of_links", "GET"),
    ("page_assets", "GET"), ("page_components", "GET"),
    ("api_docs", "GET"), ("api_docs_style", "GET"), ("api_docs_script", "GET"),
    ("single_sign_on", "GET"), ("sso_start", "GET"), ("sso_callback", "GET"), ("sso_sign_out", "GET"),
    # A token of the directory lets in.
    *(("scim", method) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
}  # fmt: skip
FOR_ANY_SIGNED_IN = {
    ("session", "GET"), ("session", "PATCH"), ("session", "DELETE"), ("sessions", "GET"),
    ("session_of_id", "DELETE"), ("sessions", "DELETE"), ("reauthentication", "POST"),
    ("session_single_sign_on", "POST"), ("own_passkey_challenges", "POST"),
    ("factors", "GET"), ("totp", "POST"), ("totp", "DELETE"), ("totp_confirmation", "POST"), ("recovery_codes", "POST"),
    ("new_passkey_challenges", "POST"), ("passkeys", "POST"), ("passkey", "PATCH"), ("passkey", "DELETE"),
    ("received_invitations", "GET"), ("received_invitation", "POST"), ("received_invitation", "DELETE"),
    ("accepted_link", "POST"),
    ("account", "GET"), ("account", "PATCH"), ("account", "DELETE"),
    ("account_address", "POST"), ("account_password", "PUT"),
}  # fmt: skip


def views(installation: Installation) -> list[tuple[str, str, str, str]]:
    """Every view as route, method, path and permission."""
    introspector = installation.registry.introspector
    patterns = {
        each["introspectable"]["name"]: each["introspectable"]["pattern"]
        for each in introspector.get_category("routes")
    }
    found = []
    for each in introspector.get_category("views"):
        view = each["introspectable"]
        if view["route_name"] is None or view["request_methods"] is None:  # those of errors have no methods
            continue
        permission = next(
            (other["value"] for other in each["related"] if other.category_name == "permissions"),
            NO_PERMISSION_REQUIRED,
        )
        stated = view["request_methods"]
        for method in [stated] if isinstance(stated, str) else stated:
            if method != "HEAD":
                found.append((view["route_name"], method, patterns[view["route_name"]], permission))
    return found


def call(client: Client, route: str, method: str, pattern: str, row_id: str, start: str = "", **headers: str) -> Any:
    """Call a route with an id and a body that would be good, at an address that begins with ``start``."""
    path = "/" + re.sub(r"{slug:.*}", "acme", re.sub(r"{id:.*}", row_id, pattern)).lstrip("/")
    path += "?name=x" if (route, method) == ("files", "POST") else ""
    takes_one = method in ("POST", "PUT", "PATCH") and route not in WITHOUT_BODY
    body = (BODIES.get(f"{route} {method}") or BODIES[route]) if takes_one else None
    return client.request(method, start + path.removeprefix("/api/v1"), body, **headers)


def test_the_public_views_are_these(installation: Installation) -> None:
    public = {(route, method) for route, method, _, permission in views(installation)
              if permission == NO_PERMISSION_REQUIRED}  # fmt: skip
    assert public == PUBLIC


def test_as_nobody(installation: Installation) -> None:
    for route, method, pattern, permission in views(installation):
        if permission != NO_PERMISSION_REQUIRED:
            answer = call(Client(installation.app), route, method, pattern, "0" * 8 + "-0000" * 3 + "-" + "0" * 12)
            assert (answer.status_int, answer.json["code"]) == (401, "not_signed_in"), (route, method)


def test_without_a_tenant_or_a_role(installation: Installation) -> None:
    nobody = Client(installation.app).sign_in("nobody")
    for route, method, pattern, permission in views(installation):
        if permission != NO_PERMISSION_REQUIRED and (route, method) not in FOR_ANY_SIGNED_IN:
            answer = call(nobody, route, method, pattern, "0" * 8 + "-0000" * 3 + "-" + "0" * 12)
            refused = (403, "operator_required") if permission == OPERATE else (409, "tenant_required")
            assert (answer.status_int, answer.json["code"]) == refused, (route, method)


def test_in_a_tenant_that_is_named_and_not_granted(installation: Installation) -> None:
    ada = Client(installation.app).sign_in("ada")
    tried = 0
    for route, method, pattern, permission in views(installation):
        if permission in {NO_PERMISSION_REQUIRED, "session.use", "session.own_account", OPERATE}:
            continue
        for start, headers in (("", {"X_Tenant": "globex"}), ("/t/globex", {}), ("/t/initech", {})):
            answer = call(ada, route, method, pattern, "0" * 8 + "-0000" * 3 + "-" + "0" * 12, start, **headers)
            assert (answer.status_int, answer.json["code"]) == (403, "tenant_forbidden"), (route, method, start)
            tried += 1
    assert tried > 30


def test_without_the_permission(installation: Installation) -> None:
    held = set(Client(installation.app).sign_in("rita").get("/session").json["permissions"])
    rita = Client(installation.app).sign_in("rita")
    for route, method, pattern, permission in views(installation):
        if permission in {NO_PERMISSION_REQUIRED, *OF_NO_ROLE} - {OPERATE} | held:
            continue
        answer = call(rita, route, method, pattern, "0" * 8 + "-0000" * 3 + "-" + "0" * 12)
        refused = "operator_required" if permission == OPERATE else "permission_denied"
        assert (answer.status_int, answer.json["code"]) == (403, refused), (route, method)


def test_with_an_api_token(installation: Installation) -> None:
    """It may do in its tenant what it permits, and nothing that is about sessions, tokens, accounts or the fleet."""
    with installation.registry.user_db.begin() as session:
        get_user(session, "ada").operator = True
    ada = Client(installation.app).sign_in("ada")
    made = [
        ada.post("/tokens", {"name": "x", "permissions": permissions})
        for permissions in (ada.get("/session").json["permissions"], ["content.create"])
    ]
    whole, narrow = (Client(installation.app).with_token(answer.json["token"]) for answer in made)
    cookie = ada.copy().with_token(made[0].json["token"].lower())
    row_id = "0" * 8 + "-0000" * 3 + "-" + "0" * 12
    tried: set[tuple[str, str]] = set()
    for route, method, pattern, permission in views(installation):
        if permission == NO_PERMISSION_REQUIRED:
            continue
        elsewhere = "token_not_allowed" if permission in NOT_FOR_TOKENS else "tenant_forbidden"
        of_people = permission in NOT_FOR_TOKENS or route.startswith(("service_account", "tenant_settings"))
        cases = {
            "wrong token, good cookie": (cookie, {}, (401, "invalid_token")),
            "another tenant": (whole, {"X_Tenant": "globex"}, (403, elsewhere)),
            "another tenant's path": (whole, {"start": "/t/globex"}, (403, elsewhere)),
        }
        if of_people:
            cases["of people"] = (whole, {}, (403, "token_not_allowed"))
        elif permission not in ("content.create", "tenant.enter"):
            cases["narrow"] = (narrow, {}, (403, "permission_denied"))
        for case, (client, headers, refused) in cases.items():
            answer = call(client, route, method, pattern, row_id, **headers)
            assert (answer.status_int, answer.json["code"]) == refused, (route, method, case)
            tried.add((case, refused[1]))
    assert len(tried) == 7
    for path, body in (
        ("/session", {"login": "ada", "password": PASSWORD}),
        ("/users", {"address": "x@example.com"}),
        ("/links/registration", {"token": "x", "login": "x", "password": "y"}),
        ("/account/password-resets", {"login": "x"}),
        ("/links/confirm-address", {"token": "x"}),
        ("/links/reset-password", {"token": "x", "password": "y"}),
    ):
        assert whole.post(path, body).json["code"] == "token_not_allowed"


def test_as_an_operator_who_works_as_somebody_else(installation: Installation) -> None:
    """What is about the person, manages the tenant or is dangerous is never done, and without ``write`` no change."""
    with installation.registry.user_db.begin() as session:
        get_user(session, "ed").operator = True
    ended, of_the_person = ("session", "DELETE"), ("session.use", "session.own_account", "tenant.export")
    managing = ("members.manage", "session.in_tenant", "webhooks.manage", "jobs.manage")
    managed: set[str] = set()
    for write in (False, True):
        ed = Client(installation.app).sign_in("ed")
        terms = {"login": "ada", "tenant": "acme", "reason": "x", "write": write}
        ed.csrf_token = ed.post("/fleet/impersonations", terms, status=201).json["csrf_token"]
        for route, method, pattern, permission in views(installation):
            if permission == NO_PERMISSION_REQUIRED or (route, method) == ended or route == "batch":
                continue
            answer = call(ed, route, method, pattern, NO_ROW)
            refused = (answer.status_int, answer.json_body.get("code")) if answer.status_int >= 400 else None
            case = (route, method, refused)
            if permission == OPERATE:
                assert refused == (403, "operator_required"), case
            elif permission in of_the_person and (route, method) != ("session", "GET"):
                assert refused == (403, "not_while_impersonating"), case
            elif not write:
                assert (refused == (403, "impersonation_read_only")) == (method not in ("GET", "HEAD")), case
            elif permission in managing and method not in ("GET", "HEAD"):
                assert refused == (403, "not_while_impersonating"), case
                managed.add(route)
            else:
                assert refused != (403, "not_while_impersonating"), case
        assert ed.get("/session").json["user"]["login"] == "ada"
    assert {"tokens", "tenant_settings", "invitations", "service_accounts", "identity_provider"} <= managed
    assert {"members", "member", "webhooks", "webhook", "webhook_secret", "provisioning_tokens"} <= managed


def test_a_newline_at_the_end_is_no_part_of_it(installation: Installation) -> None:
    """Not signed in, every route that is there is 401."""
    client = Client(installation.app)
    tried = 0
    for route, method, pattern, permission in views(installation):
        if permission != NO_PERMISSION_REQUIRED:
            for end, status in (("", 401), ("%0A", 404)):
                row_id = "0" * 8 + "-0000" * 3 + "-" + "0" * 12
                path = re.sub(r"{slug:.*}", "acme", re.sub(r"{id:.*}", row_id, pattern)) + end
                body = {} if method in ("PUT", "PATCH") else None
                answer = client.request(method, path.removeprefix("/api/v1").removeprefix("api/v1"), body)
                assert answer.status_int == status, (route, method, end)
                tried += 1
    assert tried > 12


def an_operation_on(installation: Installation, slug: str) -> str:
    """The id of an operation on this tenant."""
    with installation.registry.user_db.begin(read_only=True) as session:
        return str(list_operations(session, slug=slug)[0].id)


def add_delivery(installation: Installation, rows: dict[str, str]) -> str:
    """The id of a new message to the webhook of acme that is among these rows."""
    with installation.registry.user_db.begin(read_only=True) as session:
        access = local_access(session, "acme")
    with installation.registry.tenant_dbs.begin(access) as session:
        delivery = TenantDelivery(webhook_id=UUID(rows["webhook"]), position=1, body='{"type": "x"}', due_at=utcnow())
        session.add(delivery)
        session.flush()
        return str(delivery.id)


def add_passkey(installation: Installation, login: str) -> str:
    """The id of a new passkey of a person."""
    with installation.registry.user_db.begin() as session:
        user, other = get_user(session, login), {"public_key": b"", "sign_count": 0, "backed_up": False}
        made = Passkey(user_id=user.id, name="x", rp_id="localhost", credential_id=b"x", aaguid=UUID(int=0), **other)
        session.add(made)
        session.flush()
        return str(made.id)


def add_job(installation: Installation) -> str:
    """The id of a new job of acme."""
    access = installation.local_access("acme")
    row = new_job(access.require_tenant(), "count", {}, utcnow())
    with installation.registry.tenant_dbs.begin(access) as session:
        session.add(TenantJob(**row))
    return str(row["id"])


def add_provisioning_token(installation: Installation) -> str:
    """The id of a new token for the directory of acme."""
    with installation.registry.user_db.begin() as session:
        tenant_id, named = get_tenant(session, "acme").id, {"issuer": "https://x.example.com", "client_id": "x"}
        provider = IdentityProvider(tenant_id=tenant_id, name="x", groups_claim="x", factor_values="", **named)
        session.add(provider)
        session.flush()
        token = ProvisioningToken(provider_id=provider.id, token_hash=b"x", name="x", expires_at=utcnow())
        session.add(token)
        session.flush()
        return str(token.id)


def add_parts_of_node(ada: Client, rows: dict[str, str]) -> None:
    """Comment on the node among these rows, and attach the file to it."""
    node = rows["node"]
    rows["comment"] = ada.post("/comments", {"node_id": node, "text": "of acme"}).json["id"]
    rows["attachment"] = ada.post("/attachments", {"node_id": node, "file_id": rows["file"]}).json["id"]


def test_with_another_tenants_ids(installation: Installation) -> None:
    ada, gina = Client(installation.app).sign_in("ada"), Client(installation.app).sign_in("gina")
    node = ada.post("/nodes", {"title": "Acme's own", "tags": ["acme"]}).json
    rows = {
        "node": node["id"],
        "tag": ada.get("/tags").json["items"][0]["id"],
        "member": ada.get("/members").json["items"][0]["grants"][0]["id"],
        "session_of_id": ada.get("/sessions").json["items"][0]["id"],
        "token_of_id": ada.post("/tokens", {"name": "x", "permissions": ["content.read"]}).json["id"],
        "invitation": ada.post("/invitations", BODIES["invitations"]).json["id"],
        "service_account": ada.post("/service-accounts", {"login": "robot", "roles": ["reader"]}).json["id"],
        "tenant_operation": an_operation_on(installation, "acme"),
        "tenant_export_of_id": an_operation_on(installation, "acme"),
    }
    rows["invitation_mail"] = rows["received_invitation"] = rows["invitation"]
    rows["file"] = rows["file_content"] = ada.upload("x", b"of acme").json["id"]
    add_parts_of_node(ada, rows)
    rows |= {f"{noun}_changes": rows[noun] for noun in ("node", "tag", "comment", "attachment")}
    rows["webhook"] = rows["webhook_secret"] = ada.post("/webhooks", BODIES["webhooks"]).json["id"]
    rows["webhook_deliveries"], rows["webhook_delivery_replay"] = rows["webhook"], add_delivery(installation, rows)
    rows["tenant_job"] = rows["tenant_job_retry"] = rows["tenant_job_cancel"] = add_job(installation)
    rows["passkey"] = add_passkey(installation, "ada")
    rows["domain"] = rows["verified_domain"] = ada.post("/domains", BODIES["domains"]).json["id"]
    rows["provisioning_token"] = add_provisioning_token(installation)
    members = ada.get("/members").json
    tried = 0
    for route, method, pattern, permission in views(installation):
        if "{id" in pattern and permission != OPERATE:
            assert call(gina, route, method, pattern, rows[route]).status_int == 404, (route, method)
            tried += 1
    assert tried >= 11
    assert ada.get(f"/nodes/{node['id']}").json == node
    assert ada.get("/members").json == members


def is_open(cursor: Any) -> bool:
    """Whether a driver's cursor was left with its statement."""
    if isinstance(cursor, sqlite3.Cursor):
        try:
            cursor.fetchone()
        except sqlite3.ProgrammingError:
            return False
        return True
    return not cursor.closed


@contextmanager
def kept_cursors(*factories: Any) -> Iterator[list[tuple[str, Any]]]:
    """The statements and cursors of these databases; kept, as a profiler or the debug toolbar keeps them."""
    kept: list[tuple[str, Any]] = []

    def keep(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        kept.append((statement, cursor))

    engines = [factory.real.engine for factory in factories]
    for engine in engines:
        event.listen(engine, "after_cursor_execute", keep)
    yield kept
    for engine in engines:
        event.remove(engine, "after_cursor_execute", keep)


def test_no_request_leaves_a_statement_open(installation: Installation) -> None:
    """On SQLite an unread result holds the file for as long as somebody holds the cursor."""
    registry = installation.registry
    with registry.user_db.begin() as session:
        get_user(session, "ada").operator = True
    ada = Client(installation.app).sign_in("ada")
    node = ada.post("/nodes", {"title": "x", "tags": ["a"]}).json
    rows = {
        "node": node["id"],
        "tag": ada.get("/tags").json["items"][0]["id"],
        "member": ada.get("/members").json["items"][-1]["grants"][0]["id"],
    }
    rows["file"] = rows["file_content"] = ada.upload("x", b"x").json["id"]
    add_parts_of_node(ada, rows)
    rows["webhook"] = rows["webhook_secret"] = ada.post("/webhooks", BODIES["webhooks"]).json["id"]
    rows["webhook_deliveries"], rows["webhook_delivery_replay"] = rows["webhook"], add_delivery(installation, rows)
    rows["tenant_job"] = rows["tenant_job_retry"] = rows["tenant_job_cancel"] = add_job(installation)
    [entry] = registry.tenant_dbs._entries.values()
    answered: dict[int, int] = {}
    with kept_cursors(registry.user_db, entry.factory) as kept:
        other = Client(installation.app).sign_in("ada")
        assert other.switch("acme").status_int == other.get("/session").status_int == 200
        assert other.delete("/session").status_int == 204
        # What deletes goes last, and the tenant last of all.
        for route, method, pattern, _ in sorted(
            views(installation), key=lambda view: (view[1] == "DELETE", view[0][:5] == "fleet")
        ):
            if route not in ("session", "users", "impersonations", "scim"):
                row_id = rows.get(route) or an_operation_on(installation, "acme")
                status = call(ada, route, method, pattern, row_id).status_int
                answered[status // 100] = answered.get(status // 100, 0) + 1
        left_open = {statement for statement, cursor in kept if is_open(cursor)}
    assert left_open == set()
    assert answered[2] > 25, answered
    assert len(kept) > 100


@pytest.mark.parametrize("path", ["/", "/__lbheartbeat__", "/__heartbeat__", "/__version__"])
def test_outside_the_api(client: Client, path: str) -> None:
    assert client.http.get(path).content_type == "application/json"


def test_grouped_routes_match_what_all_routes_match(shared_on_sqlite: Installation) -> None:
    mapper = shared_on_sqlite.registry.queryUtility(IRoutesMapper)
    every = RoutesMapper()
    every.routelist = mapper.routelist
    some_id = "01900000-0000-7000-8000-00000000000a"
    written = [re.sub(r"{[^{}]*(?:{[^{}]*}[^{}]*)*}", some_id, route.pattern) for route in mapper.routelist]
    paths = [f"/{path.lstrip('/')}" for path in written]
    paths += [f"{path}/" for path in paths] + [f"{path}/more" for path in paths] + [path[:-1] for path in paths]
    for path in [*paths, "", "//", "/api", "/api/", "/api/v1", "/api/v1/", "/api/v1//", "/é"]:
        environ = {"PATH_INFO": path.encode().decode("latin-1"), "REQUEST_METHOD": "GET"}
        found, expected = mapper(Request(dict(environ))), every(Request(dict(environ)))
        assert (found["route"], found["match"]) == (expected["route"], expected["match"]), path
