"""Fills the floor's databases and prints how to ask."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import execute_values
from schema import PEOPLE, TENANT

COLUMNS = ("id", "title", "body", "status", "version", "created_at", "updated_at")
SESSIONS = {"member-of-acme": (1, 1), "stranger-in-acme": (2, 1)}


def fill_people(cursor: Any, tenants: list[str]) -> None:
    """Two people, of whom only the first is granted anything."""
    cursor.execute(PEOPLE)
    cursor.execute("INSERT INTO users VALUES (1, 'member', true), (2, 'stranger', true)")
    cursor.execute("INSERT INTO role_permissions VALUES ('reader', 'content.read')")
    for number, tenant in enumerate(tenants, 1):
        cursor.execute("INSERT INTO tenants VALUES (%s, %s, 'active', %s)", (number, tenant, f"floor_{tenant}"))
    cursor.execute("INSERT INTO grants VALUES (1, 1, 'reader')")
    for token, (user, tenant_id) in SESSIONS.items():
        token_hash = hashlib.sha256(token.encode()).digest()
        values = (token_hash, user, tenant_id)
        cursor.execute("INSERT INTO web_sessions VALUES (%s, %s, %s, now() + interval '1 day')", values)


def fill_tenant(cursor: Any, nodes: list[dict[str, Any]]) -> None:
    """A tenant's nodes."""
    cursor.execute(TENANT)
    rows = [tuple(node[column] for column in COLUMNS) for node in nodes]
    execute_values(cursor, "INSERT INTO nodes VALUES %s", rows)


def main() -> None:
    """Fill everything."""
    tenants = json.loads(Path(os.environ["NODES"]).read_text())
    with psycopg2.connect(dbname="floor_people") as connection, connection.cursor() as cursor:
        fill_people(cursor, list(tenants))
    for tenant, nodes in tenants.items():
        with psycopg2.connect(dbname=f"floor_{tenant}") as connection, connection.cursor() as cursor:
            fill_tenant(cursor, nodes)
    member, stranger = ({"Cookie": f"session={token}"} for token in SESSIONS)
    print(json.dumps({"path": "/nodes", "headers": member, "stranger": stranger}))


if __name__ == "__main__":
    main()
