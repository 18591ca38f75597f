"""Many tenants and people as rows of a user database: no databases are made for them."""

import hashlib
import io
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import psycopg2
from sqlalchemy.engine import URL

TABLES: Final[dict[str, tuple[str, ...]]] = {
    "tenants": ("id", "slug", "name", "state", "server", "database", "revision", "created_at"),
    "users": ("id", "login", "name", "enabled", "operator", "created_at"),
    "grants": ("id", "tenant_id", "user_id", "role"),
    "web_sessions": (
        *("id", "token_hash", "user_id", "tenant_id", "user_agent"),
        *("created_at", "last_seen_at", "expires_at", "authenticated_at", "factors"),
    ),
}
Row = tuple[Any, ...]
BATCH: Final = 20_000  # rows
SERVERS: Final = 1000
USER_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def fill(url: URL, *, tenants: int, people: int, revision: str | None = None, servers: int = SERVERS) -> None:
    """Add tenants and people, each person with one role in one tenant and signed in there.

    The tenants are spread over servers named s0, s1 and so on. ``revision`` is that of their databases.
    """
    now = datetime.now(UTC)
    everything: dict[str, Iterator[Row]] = {
        "tenants": (_tenant(n, servers, revision, now) for n in range(tenants)),
        "users": (_user(n, now) for n in range(people)),
        "grants": ((_key(3, n), _key(1, n % tenants), _key(2, n), "editor") for n in range(people)),
        "web_sessions": (_web_session(n, tenants, now) for n in range(people)),
    }
    write = _write_sqlite if url.get_backend_name() == "sqlite" else _write_postgres
    for table, rows in everything.items():
        write(url, table, rows)


def token_hash_of(number: int) -> bytes:
    """Return the hash of the token of this person's web session."""
    return hashlib.sha256(number.to_bytes(8)).digest()


def _tenant(number: int, servers: int, revision: str | None, now: datetime) -> Row:
    key = _key(1, number)
    name = f"Company number {number}"
    return key, f"company-{number}", name, "active", f"s{number % servers}", f"tenant_{key}", revision, _text(now)


def _user(number: int, now: datetime) -> Row:
    return _key(2, number), f"person-{number}@example.org", f"Person Number {number}", 1, 0, _text(now)


def _web_session(number: int, tenants: int, now: datetime) -> Row:
    who = _key(4, number), token_hash_of(number), _key(2, number), _key(1, number % tenants), USER_AGENT
    return *who, _text(now), _text(now), _text(now + timedelta(days=30)), _text(now), "password"


def _key(kind: int, number: int) -> str:
    """Return a key that sorts as those of the program do: by the time when it was made."""
    return f"{number:012x}7{kind:03x}8{number * 2654435761 % 2**60:015x}"


def _text(time: datetime) -> str:
    return time.replace(tzinfo=None).isoformat(" ", "microseconds")


def _write_sqlite(url: URL, table: str, rows: Iterable[Row]) -> None:
    names = ", ".join(TABLES[table])
    marks = ", ".join("?" for _ in TABLES[table])
    with closing(sqlite3.connect(str(url.database))) as connection, connection:
        connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


def _write_postgres(url: URL, table: str, rows: Iterator[Row]) -> None:
    arguments = {"host": url.query["host"], "dbname": url.database, "user": url.username}
    with closing(psycopg2.connect(**arguments, options="-c timezone=UTC -c statement_timeout=0")) as connection:
        with connection, connection.cursor() as cursor:
            while batch := "".join(_line(row) for row in islice(rows, BATCH)):
                cursor.copy_expert(f"COPY {table} ({', '.join(TABLES[table])}) FROM STDIN", io.StringIO(batch))
        connection.autocommit = True
        connection.cursor().execute(f"VACUUM (ANALYZE) {table}")


def _line(row: Sequence[Any]) -> str:
    return "\t".join(map(_cell, row)) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "\\N"
    return f"\\\\x{value.hex()}" if isinstance(value, bytes) else str(value)
