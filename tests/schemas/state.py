"""What a PostgreSQL database is, read without the program: its definitions by pg_dump, and all that it holds."""

import re
import secrets
import subprocess
from contextlib import closing, suppress
from typing import Any, Final

import psycopg2
from sqlalchemy.engine import URL

from tests.postgres import postgres_bin

TOOLS: Final = postgres_bin("pginstall18") or "/usr/bin"
PINNED: Final = "-c search_path= -c TimeZone=UTC -c extra_float_digits=3 -c row_security=off -c lc_monetary=C"
HOLDS: Final = """
SELECT format('%I.%I', n.nspname, c.relname), c.relkind, c.relispopulated
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1
"""
# No dump has them: settings, and who may connect.
SETTINGS: Final = """
SELECT concat_ws(' ', setdatabase <> 0, nullif(setrole, 0)::regrole, item)
FROM pg_db_role_setting JOIN pg_database ON datname = current_database(), unnest(setconfig) AS item
WHERE setdatabase = pg_database.oid OR setdatabase = 0 AND setrole = datdba
UNION ALL
SELECT concat_ws(' ', each.grantee::regrole, each.privilege_type, each.is_grantable)
FROM pg_database, aclexplode(datacl) AS each WHERE datname = current_database()
"""
OWN: Final = {"public.tenant_identity"}  # each tenant has another
TENANT: Final = re.compile(r"(tenant|template)_\w{20,}")  # the names of roles


def read_state(server: URL, database: str) -> dict[str, Any]:
    """Everything: definitions with owners, privileges and comments, rows, sequences, large objects, settings."""
    found: dict[str, Any] = {"definitions": _definitions(server, database)}
    with closing(psycopg2.connect(**_superuser(server), dbname=database, options=PINNED)) as connection:
        cursor = connection.cursor()
        cursor.execute(HOLDS)
        for name, kind, filled in [each for each in cursor.fetchall() if each[0] not in OWN]:
            if kind == "S":
                cursor.execute(f"SELECT last_value, is_called FROM {name}")
            elif filled:
                # ONLY is for tables alone.
                cursor.execute(f"SELECT t::text FROM {'ONLY ' if kind == 'r' else ''}{name} t ORDER BY 1")
            found[name] = cursor.fetchall() if kind == "S" or filled else "not filled"
        cursor.execute("SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1")
        found["large objects"] = cursor.fetchall()
        cursor.execute(SETTINGS)
        found["settings"] = sorted(TENANT.sub("TENANT", words) for (words,) in cursor.fetchall())
    return found


def differences(original: dict[str, Any], copy: dict[str, Any]) -> dict[str, Any]:
    """What is not the same: of definitions the lines, of the rest both values."""
    names = {name for name in original.keys() | copy.keys() if original.get(name) != copy.get(name)}
    found = {name: (original.get(name), copy.get(name)) for name in sorted(names)}
    if "definitions" in found:
        found["definitions"] = sorted(set(original["definitions"]) ^ set(copy["definitions"]))
    return found


def _definitions(server: URL, database: str) -> list[str]:
    """The lines of the dump of a restored database: to restore some expressions changes how they are written."""
    dumped, scratch = _tool(server, "pg_dump", "-s", "-Fc", database), f"canonical_{secrets.token_hex(8)}"
    _tool(server, "createdb", "-T", "template0", scratch)
    try:
        _tool(server, "pg_restore", "-d", scratch, given=dumped)
        text = _tool(server, "pg_dump", "-s", scratch).decode()
    finally:
        with suppress(subprocess.CalledProcessError):
            _tool(server, "dropdb", scratch)
    lines = TENANT.sub("TENANT", text).splitlines()
    said = [line for line in lines if line.strip() and not line.startswith(("--", "\\"))]
    # In which order something was granted does not matter.
    return sorted(said, key=lambda line: (True, line) if line.startswith(("GRANT ", "REVOKE ")) else (False, ""))


def _tool(server: URL, name: str, *options: str, given: bytes = b"") -> bytes:
    reached = ("-h", str(server.query["host"]), "-U", str(server.username))
    return subprocess.run([f"{TOOLS}/{name}", *reached, *options], input=given, capture_output=True, check=True).stdout


def _superuser(server: URL) -> dict[str, Any]:
    return {"host": server.query["host"], "user": server.username}
