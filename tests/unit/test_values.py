"""Ids, times, names, tokens, JSON: the small things everything stands on."""

import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from argon2 import extract_parameters
from sqlalchemy import create_engine, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from tenantapp.api.json import find_fault, merge_patch
from tenantapp.api.problems import ApiError
from tenantapp.api.query import decode_cursor, encode_cursor
from tenantapp.credentials import passwords
from tenantapp.identity import web_sessions
from tenantapp.identity.effective import Granted, read_granted
from tenantapp.identity.errors import InvalidValue, TooManySignIns
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.names import check_login, check_slug, clean_name, normalize_login
from tenantapp.operations.outcomes import counted
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime
from tenantapp.tenancy.servers import PostgresServer, SqliteServer, sqlite_url


def test_ids_are_version_7_and_sort_by_time() -> None:
    ids = [uuid7() for _ in range(1000)]
    assert {(made.version, made.variant) for made in ids} == {(7, "specified in RFC 4122")}
    assert len(set(ids)) == 1000
    milliseconds = ids[0].int >> 80
    assert abs(milliseconds - datetime.now(UTC).timestamp() * 1000) < 5000
    assert sum(one < other for one, other in pairwise(ids)) > 900


def test_times_are_aware_and_in_utc() -> None:
    column, dialect = UtcDateTime(), sqlite.dialect()
    east = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    stored = column.process_bind_param(east, dialect)
    assert stored == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert column.process_result_value(stored.replace(tzinfo=None), dialect) == east
    with pytest.raises(ValueError, match="zone"):
        column.process_bind_param(datetime(2026, 1, 1), dialect)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-01 10:00:00.000001", datetime(2026, 1, 1, 10, 0, 0, 1, UTC)),
        ("2026-01-01 10:00:00", datetime(2026, 1, 1, 10, tzinfo=UTC)),
        ("2026-01-01T10:00:00Z", datetime(2026, 1, 1, 10, tzinfo=UTC)),
        ("2026-01-01 10:00:00+02:00", datetime(2026, 1, 1, 8, tzinfo=UTC)),
        ("2026-01-01", datetime(2026, 1, 1, tzinfo=UTC)),
        (None, None),
    ],
)
def test_texts_that_sqlite_may_have_are_read_in_utc(text: str | None, time: datetime | None) -> None:
    read = UtcDateTime().result_processor(sqlite.dialect(), None)
    assert read is not None
    assert read(text) == time
    assert time is None or (read(text) or time).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("Ada", "ada"), ("STRASSE", "strasse"), ("Straße", "strasse"), ("\uff41da", "ada"), ("a@b.org",) * 2],
)
def test_logins_are_normalized(typed: str, stored: str) -> None:
    assert normalize_login(typed) == stored
    assert check_login(stored) == normalize_login(stored) == stored


@pytest.mark.parametrize(
    "login", ["", "a b", "@group", "local:ada", "\uff2cocal:a", "a\0", "a\n", "x" * 255, "\u202ea", "\ufeff"]
)
def test_bad_logins(login: str) -> None:
    with pytest.raises(InvalidValue):
        check_login(login)


@pytest.mark.parametrize("login", ["a\u200db", "a\u3164", "a\u00a0b", "\U000e0061", "a\ufe0f"])
def test_nobody_gets_a_login_that_looks_like_another_one_and_who_has_it_gets_in(login: str) -> None:
    with pytest.raises(InvalidValue):
        check_login(login)
    assert normalize_login(login)


def test_what_no_database_stores_is_nobodys_login() -> None:
    for login in ("a\0", "a\udcff"):
        with pytest.raises(InvalidValue):
            normalize_login(login)


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a_b", "a.b", "../x", "a b", "x" * 64, "a\n", "';--", "ä"])
def test_bad_slugs(slug: str) -> None:
    with pytest.raises(InvalidValue):
        check_slug(slug)


def test_good_slugs_and_names() -> None:
    assert [check_slug(slug) for slug in ("a", "a-1", "9", "x" * 63)]
    assert clean_name("  Ada Lovelace ") == "Ada Lovelace"
    for bad in ("", " ", "a\nb", "x" * 201, "\udcff", "\u200b", "a\u202eb"):
        with pytest.raises(InvalidValue):
            clean_name(bad)


def test_passwords_are_argon2id_with_owasp_parameters() -> None:
    stored = passwords.hash_password("correct horse")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.verify_password(stored, "correct horse", passwords.MEMORY)
    assert not passwords.verify_password(stored, "Correct horse", passwords.MEMORY)
    assert not passwords.verify_password(None, "correct horse", passwords.MEMORY)
    assert extract_parameters(passwords.decoy_hash(passwords.MEMORY)) == extract_parameters(stored), "it takes as long"
    assert not passwords.verify_password("damaged", "correct horse", passwords.MEMORY)
    composed = passwords.hash_password("na\u0131\u0308ve é")
    assert passwords.verify_password(composed, "na\u0131\u0308ve e\u0301", passwords.MEMORY)
    with pytest.raises(InvalidValue):
        passwords.hash_password("x" * 1025)


def test_a_password_for_which_there_is_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    stored = passwords.hash_password("correct horse", 1048576 // 4)
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, before[1]))
    try:
        with pytest.raises(TooManySignIns):
            passwords.hash_password("correct horse", 1048576 // 4)
        with pytest.raises(TooManySignIns):
            passwords.verify_password(stored, "correct horse", passwords.MEMORY)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert caplog.text.count("A password could not be hashed: Memory allocation error") == 2
    assert passwords.verify_password(stored, "correct horse", passwords.MEMORY), "the turn was given back"


def test_a_flood_of_passwords_leaves_a_thread_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_places", passwords._places)  # put back at the end
    for threads, places in ((1, 1), (2, 1), (4, 3)):
        passwords.bound_waiting(threads)
        with ExitStack() as stack:
            for _ in range(places):
                stack.enter_context(passwords._acquired(passwords._places, 0))
            started = time.monotonic()
            with pytest.raises(TooManySignIns):
                passwords.verify_password(None, "correct horse", 8)
            assert time.monotonic() - started < passwords.QUEUE_TIMEOUT / 2, "at once"
        assert not passwords.verify_password(None, "correct horse", 8)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux alone")
def test_requests_come_before_hashing() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    hashing = passwords._hashed(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert (hashing, os.getpriority(os.PRIO_PROCESS, 0)) == (min(own + passwords.NICENESS, 19), own)


def test_tokens_hold_256_bits_and_the_csrf_token_does_not_give_them_away() -> None:
    token = web_sessions.new_token()
    assert len(token) == 43
    assert len(web_sessions.hash_token(token)) == 32
    assert web_sessions.csrf_token(token) != token
    assert web_sessions.csrf_token(token) == web_sessions.csrf_token(token)
    assert web_sessions.csrf_token(token) != web_sessions.csrf_token(web_sessions.new_token())


def test_granted_words() -> None:
    assert read_granted(None) == Granted((), frozenset())
    assert read_granted("9:low:x 10:reader:content.read 9:low:y") == Granted(
        ("reader", "low"), frozenset({"content.read", "x", "y"})
    )
    assert read_granted("10:reader:") == Granted(("reader",), frozenset())


@pytest.mark.parametrize("directory", ["plain", "a b", "a?mode=memory", "a#b", "a%20b", "ünï", "a'b\"c"])
def test_a_directory_may_be_called_anything(tmp_path: Path, directory: str) -> None:
    server = SqliteServer("main", URL.create("sqlite+pysqlite", database=str(tmp_path / directory)))
    server.directory.mkdir()
    engine = create_engine(sqlite_url(server.path("tenant_1"), create=True))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    engine.dispose()
    assert [path.name for path in server.directory.iterdir()] == ["tenant_1.sqlite"]
    engine = create_engine(server.tenant_url("tenant_1"))
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT x FROM t")
    engine.dispose()


def test_tenant_passwords_differ_and_stay() -> None:
    server = PostgresServer("main", make_url("postgresql+psycopg2://u:p@h/"), secret="s" * 32)
    assert server.tenant_password("a") == server.tenant_password("a")
    assert server.tenant_password("a") != server.tenant_password("b")
    assert len(bytes.fromhex(server.tenant_password("a"))) == 32
    assert "p@h" not in repr(server)
    assert "ssss" not in repr(server)


# RFC 7396, appendix A, for objects.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


@pytest.mark.parametrize(
    ("document", "pointer"),
    [({"a": "b"}, None), ({"a": "\0"}, "/a"), ({"a": [1, "x\0"]}, "/a/1"), ({"a/b": {"~": "\0"}}, "/a~1b/~0")],
)
def test_find_nul(document: Any, pointer: str | None) -> None:
    fault = find_fault(document)
    assert (fault and fault[0]) == pointer


def test_find_what_is_nested_too_deeply() -> None:
    document: Any = "x"
    for _ in range(32):
        document = [document]
    assert find_fault(document) is None
    assert find_fault([document]) == ("/0" * 32, "Values may be nested at most 32 levels deep.")


def test_cursors_round_trip() -> None:
    for key in ("", "a", "ünïcode", str(uuid7())):
        assert decode_cursor(encode_cursor(key)) == key
    for bad in ("ä", "*", "a", "_w"):
        with pytest.raises(ApiError):
            decode_cursor(bad)


def test_sqlite_files_are_not_made_by_connecting() -> None:
    assert sqlite_url(Path("/x")).query["mode"] == "rw"
    assert sqlite_url(Path("/x"), create=True).query["mode"] == "rwc"


def test_sqlite_connections_are_as_many_as_the_open_files_allow() -> None:
    """In a process of its own, for what is raised stays raised there, and what is lowered cannot be raised again."""
    script = (
        "import resource\n"
        "from tenantapp.sql.open_files import most_connections\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, {hard}))\n"
        "print(most_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
    )
    for hard, expected in ((900, "150 900"), (300, "50 300")):
        done = subprocess.run(
            [sys.executable, "-c", script.format(hard=hard)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


def test_progress_is_counted_up_and_told_in_parts() -> None:
    told: list[tuple[float, str]] = []
    load = counted(lambda fraction, text: told.append((fraction, text)), "{} of 8 rows", total=8, since=0.5)
    write = counted(lambda fraction, text: told.append((fraction, text)), "{} KiB", unit=1024)
    for more in (2, 6, 1):
        load(more)
    write(1024)
    write(2048)
    assert told[:3] == [(0.625, "2 of 8 rows"), (1.0, "8 of 8 rows"), (1.0, "9 of 8 rows")], "never more than all"
    assert told[3:] == [(0.0, "1 KiB"), (0.0, "3 KiB")], "of a whole that nobody knows"


@pytest.mark.parametrize("state", TenantState)
def test_a_tenant_and_the_database_agree_on_who_is_served(state: TenantState) -> None:
    engine = create_engine("sqlite+pysqlite://")
    with Session(engine) as session:
        session.connection().exec_driver_sql("CREATE TABLE tenants (state VARCHAR)")
        session.connection().exec_driver_sql("INSERT INTO tenants VALUES (?)", (state,))
        counted_by_the_database = session.scalar(select(func.count()).select_from(Tenant).where(Tenant.is_served))
    engine.dispose()
    served = Tenant(state=state).is_served
    assert (served, counted_by_the_database) == ((True, 1) if state in ("active", "suspended") else (False, 0))
