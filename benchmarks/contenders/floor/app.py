"""The floor: WSGI, psycopg2 and prepared statements, and nothing else."""

import hashlib
import logging
import sys
import threading
from http.cookies import SimpleCookie
from typing import Any

import orjson
import psycopg2
import waitress
from schema import PREPARE_ACCESS, PREPARE_JSON, PREPARE_NODES

FIELDS = ("id", "title", "body", "status", "version", "created_at", "updated_at")
local = threading.local()  # each thread keeps its connections


def cursor_of(database: str, prepare: str) -> Any:
    """This thread's cursor on a database, the statement prepared."""
    cursors = local.__dict__.setdefault("cursors", {})
    if database not in cursors:
        connection = psycopg2.connect(dbname=database)
        connection.autocommit = True
        cursors[database] = connection.cursor()
        cursors[database].execute(prepare)
    return cursors[database]


def read_access(environ: dict[str, Any]) -> tuple[str, bool] | None:
    """The database of the request's session and whether it may be read."""
    token = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("session")
    if token is None:
        return None
    people = cursor_of("floor_people", PREPARE_ACCESS)
    people.execute("EXECUTE access (%s)", (hashlib.sha256(token.value.encode()).digest(),))
    return people.fetchone()


def list_nodes(database: str) -> bytes:
    """The first nodes by key, their JSON written here."""
    nodes = cursor_of(database, PREPARE_NODES)
    nodes.execute("EXECUTE nodes (50)")
    return orjson.dumps({"items": [dict(zip(FIELDS, row, strict=True)) for row in nodes.fetchall()]})


def list_json(database: str) -> bytes:
    """The same, their JSON written by PostgreSQL."""
    nodes = cursor_of(database, PREPARE_JSON)
    nodes.execute("EXECUTE nodes (50)")
    return b'{"items":' + nodes.fetchone()[0].encode() + b"}"


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The list of nodes, for who may read it."""
    access = read_access(environ)
    if access is None:
        status, body = "401 Unauthorized", b"{}"
    elif not access[1]:
        status, body = "403 Forbidden", b"{}"
    else:
        status, body = "200 OK", answer(access[0])
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


answer = list_json if "--json-by-postgres" in sys.argv else list_nodes

if __name__ == "__main__":
    # With more clients than threads waitress would log every request that waits.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    waitress.serve(application, host="127.0.0.1", port=int(sys.argv[1]), threads=4)
