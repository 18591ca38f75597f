"""What a database is, read without the program: on PostgreSQL its definitions by pg_dump, and all that it holds."""

import re
import secrets
import subprocess
from contextlib import closing, suppress
from functools import lru_cache
from typing import Any, Final

import psycopg2
from sqlalchemy.engine import URL

from tests.postgres import programs_by_major
from tests.schemas.sqlite_state import is_sqlite, read_sqlite

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
TENANT: Final = re.compile(r"\b(tenant_[0-9a-f]{32}|template_[0-9a-f]{12}_\w+)\b")  # the names of roles
OWNER: Final = "owner_of_all"
DEFINITIONS: Final = "definitions"
# PostgreSQL 17 brought the privilege MAINTAIN. Who had all before has all of a newer version, unlike after a dump.
MAINTAIN_SINCE: Final = 17
ALL_BEFORE: Final = "GRANT SELECT,INSERT,REFERENCES,DELETE,TRIGGER,TRUNCATE,UPDATE ON TABLE "


def read_state(server: URL, database: str, printer: URL) -> dict[str, Any]:
    """Everything: definitions with owners, privileges and comments, rows, sequences, large objects, settings.

    The definitions are dumped by the tools of the server that prints them, see ``differences``.
    """
    if is_sqlite(server):
        return read_sqlite(server, database)
    found: dict[str, Any] = {DEFINITIONS: _definitions(server, database, printer)}
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


def _definitions(server: URL, database: str, printer: URL) -> str:
    text = _tool(printer, "pg_dump", "-s", database, at=server).decode()
    is_from_before = major_of(server) < MAINTAIN_SINCE <= major_of(printer)
    return text.replace(ALL_BEFORE, "GRANT ALL ON TABLE ") if is_from_before else text


def differences(original: dict[str, Any], copy: dict[str, Any], printer: URL) -> dict[str, Any]:
    """What is not the same: of definitions the lines, of the rest both values.

    To restore some expressions changes how they are written, and so does another version of PostgreSQL. So definitions
    that differ are restored, and one server prints both.
    """
    names = {name for name in original.keys() | copy.keys() if original.get(name) != copy.get(name)}
    found = {name: (original.get(name), copy.get(name)) for name in sorted(names - {DEFINITIONS})}
    if DEFINITIONS not in original:
        return found
    lines = _different_lines(printer, *(TENANT.sub(OWNER, state[DEFINITIONS]) for state in (original, copy)))
    return found | ({DEFINITIONS: lines} if lines else {})


def _different_lines(printer: URL, original: str, copy: str) -> list[str]:
    if _lines(copy) in (_lines(original), _lines(_restored(printer, original))):
        return []
    return sorted(set(_lines(_restored(printer, original))) ^ set(_lines(_restored(printer, copy))))


@lru_cache(4)
def _restored(printer: URL, text: str) -> str:
    """The definitions, restored and dumped once more."""
    scratch = f"canonical_{secrets.token_hex(8)}"
    with (
        closing(psycopg2.connect(**_superuser(printer), dbname="postgres")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (OWNER,))
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE ROLE {OWNER}")
            connection.commit()
    _tool(printer, "createdb", "-T", "template0", scratch)
    try:
        _tool(printer, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", scratch, given=text.encode())
        return _tool(printer, "pg_dump", "-s", scratch).decode()
    finally:
        with suppress(subprocess.CalledProcessError):
            _tool(printer, "dropdb", scratch)


def _lines(text: str) -> list[str]:
    # The lines with a backslash have another key each time.
    said = [line for line in text.splitlines() if line.strip() and not line.startswith(("--", "\\"))]
    # In which order something was granted does not matter.
    return sorted(said, key=lambda line: (True, line) if line.startswith(("GRANT ", "REVOKE ")) else (False, ""))


def _tool(of: URL, name: str, *options: str, at: URL | None = None, given: bytes = b"") -> bytes:
    """What a tool of this server's version writes; it works there, or else ``at`` another server."""
    server = at or of
    reached = ("-h", str(server.query["host"]), "-U", str(server.username))
    command = [str(programs_by_major()[major_of(of)] / name), *reached, *options]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@lru_cache
def major_of(server: URL) -> int:
    """The major version of a server."""
    with closing(psycopg2.connect(**_superuser(server), dbname="postgres")) as connection:
        return int(connection.info.server_version) // 10_000


def _superuser(server: URL) -> dict[str, Any]:
    return {"host": server.query["host"], "user": server.username}
