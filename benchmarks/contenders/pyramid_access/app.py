"""What is left for ``GET /session`` at best: a bare Pyramid view and a statement on tenantapp's user database.

No layers between the view and psycopg2; it finds the session, the person, the tenant and the permissions, and no more.
"""

import hashlib
import logging
import sys
import threading
from typing import Any

import psycopg2
import waitress
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPUnauthorized

PREPARE = """
PREPARE access (bytea) AS
SELECT users.id::text, users.login, users.name, web_sessions.expires_at::text, tenants.slug, tenants.name,
       (SELECT string_agg(grants.role || ' ' || role_permissions.permission, ',')
        FROM grants JOIN role_permissions ON role_permissions.role = grants.role
        WHERE grants.tenant_id = tenants.id
          AND (grants.user_id = users.id
               OR grants.group_id IN (SELECT group_id FROM group_members WHERE group_members.user_id = users.id)))
FROM web_sessions JOIN users ON users.id = web_sessions.user_id
LEFT JOIN tenants ON tenants.id = web_sessions.tenant_id
WHERE token_hash = $1 AND expires_at > now() AND last_seen_at > now() - interval '1 day' AND users.enabled
"""
local = threading.local()


def cursor() -> Any:
    """This thread's cursor, the statement prepared."""
    if not hasattr(local, "cursor"):
        connection = psycopg2.connect("")  # what the environment says
        connection.autocommit = True
        local.cursor = connection.cursor()
        local.cursor.execute(PREPARE)
    return local.cursor


def session(request: Any) -> dict[str, Any]:
    """Who is asking, for which tenant, what may they do."""
    token_hash = hashlib.sha256(request.cookies.get("tenantapp", "").encode()).digest()
    cursor().execute("EXECUTE access (%s)", (token_hash,))
    row = cursor().fetchone()
    if row is None:
        raise HTTPUnauthorized
    user_id, login, name, expires_at, slug, tenant_name, granted = row
    pairs = [pair.split(" ") for pair in (granted or "").split(",") if pair]
    return {
        "user": {"id": user_id, "login": login, "name": name},
        "tenant": {"slug": slug, "name": tenant_name},
        "roles": sorted({role for role, _ in pairs}),
        "permissions": sorted(permission for _, permission in pairs),
        "expires_at": expires_at,
    }


def make_app() -> Any:
    """One route, one view."""
    with Configurator() as config:
        config.add_route("session", "/session")
        config.add_view(session, route_name="session", renderer="json", request_method="GET")
        return config.make_wsgi_app()


if __name__ == "__main__":
    # With more clients than threads waitress would log every request that waits.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    waitress.serve(make_app(), host="127.0.0.1", port=int(sys.argv[1]), threads=4)
