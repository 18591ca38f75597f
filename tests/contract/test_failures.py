"""What fails: the database, or a statement? The errors are the drivers' own."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy.engine import URL

from tenantapp.sql.failures import Cause, Failure, PostgresCommitInDoubt, SqliteCommitInDoubt, failure_of
from tenantapp.sql.sqlite_files import CONNECT_ARGUMENTS
from tests.file_limits import files_no_larger_than

POSTGRES = {
    # The connection is thrown away.
    "08006": (Cause.LOST, True),
    "08P01": (Cause.LOST, True),
    "25006": (Cause.READ_ONLY, True),
    "25P03": (Cause.LOST, True),
    "25P04": (Cause.LOST, True),
    "26000": (Cause.LOST, True),
    "57P01": (Cause.LOST, True),
    "57P02": (Cause.LOST, True),
    "57P03": (Cause.LOST, True),
    "57P04": (Cause.LOST, True),
    "57P05": (Cause.LOST, True),
    # It is as good as before.
    "40001": (Cause.CONFLICT, False),
    "40P01": (Cause.CONFLICT, False),
    "53100": (Cause.FULL, False),
    "53200": (Cause.FULL, False),
    "53300": (Cause.FULL, False),
    "53400": (Cause.FULL, False),
    "55P03": (Cause.LOCKED, False),
    "57014": (Cause.CANCELLED, False),
    "58000": (Cause.FAILED, False),
    "58030": (Cause.FAILED, False),
    "72000": (Cause.CANCELLED, False),
    "XX000": (Cause.FAILED, False),
    "XX001": (Cause.DAMAGED, False),
    "XX002": (Cause.DAMAGED, False),
}
# A wrong statement or value, a missing right, a limit of what can be said, a state that the statement does not fit.
MISTAKES = (
    *("0A000", "22003", "22012", "22P02", "23505", "23503", "25001", "25P02", "34000", "3F000"),
    *("42501", "42601", "42703", "42883", "42P01", "54000", "54001", "55000", "55006", "P0001", "P0002"),
)


@pytest.fixture(scope="module")
def postgres(postgres_server: URL) -> Iterator[Any]:
    connection = connect(postgres_server)
    connection.autocommit = True
    yield connection
    connection.close()


def connect(server: URL) -> Any:
    return psycopg2.connect(server.set(drivername="postgresql").render_as_string(hide_password=False))


def raised(connection: Any, statement: str) -> Exception:
    with connection.cursor() as cursor, pytest.raises(psycopg2.Error) as error:
        cursor.execute(statement)
    return error.value


def with_code(connection: Any, code: str) -> Exception:
    """An error with this SQLSTATE, from the server."""
    return raised(connection, f"DO $$ BEGIN RAISE EXCEPTION 'so it is' USING ERRCODE = '{code}', DETAIL = 'x'; END $$")


@pytest.mark.parametrize("code", POSTGRES)
def test_what_postgresql_says_of_itself(postgres: Any, code: str) -> None:
    failure = failure_of(with_code(postgres, code))
    assert failure is not None
    assert (failure.cause, failure.spoiled, failure.in_doubt) == (*POSTGRES[code], False)
    assert failure.reason == "so it is"


@pytest.mark.parametrize("code", MISTAKES)
def test_mistakes_are_not_the_databases(postgres: Any, code: str) -> None:
    assert failure_of(with_code(postgres, code)) is None


@pytest.mark.parametrize("code", ["08007", "40003"])
def test_when_the_server_itself_does_not_know_the_outcome(postgres: Any, code: str) -> None:
    failure = failure_of(with_code(postgres, code))
    assert failure is not None
    assert (failure.cause, failure.in_doubt) == (Cause.LOST, True)


def test_mistakes_that_the_driver_finds_itself(postgres: Any) -> None:
    with postgres.cursor() as cursor:
        for arguments in [("SELECT %s", [object()]), ("",), ("COPY pg_class TO STDOUT",)]:
            with pytest.raises(psycopg2.Error) as error:
                cursor.execute(*arguments)
            assert failure_of(error.value) is None, arguments


def test_a_write_in_a_transaction_of_ours_that_only_reads_is_a_mistake(postgres: Any) -> None:
    refused = raised(postgres, "BEGIN READ ONLY; CREATE TABLE t (x int)")
    with postgres.cursor() as cursor:
        cursor.execute("ROLLBACK")
    assert failure_of(refused, read_only=True) is None
    assert failure_of(refused) == Failure(
        Cause.READ_ONLY, "cannot execute CREATE TABLE in a read-only transaction", spoiled=True
    )


def test_a_connection_that_somebody_has_ended(postgres_server: URL, postgres: Any) -> None:
    other = connect(postgres_server)
    with postgres.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [other.info.backend_pid])
    for _ in range(2):  # and once more when the driver has noticed
        failure = failure_of(raised_by(lambda: other.cursor().execute("SELECT 1")))
        assert failure is not None
        assert (failure.cause, failure.spoiled) == (Cause.LOST, True)


def raised_by(what: Any) -> Exception:
    with pytest.raises((psycopg2.Error, sqlite3.Error)) as error:
        what()
    return error.value


def test_where_nothing_listens_there_is_nothing_to_reach(tmp_path: Path) -> None:
    refused = raised_by(lambda: psycopg2.connect(host=str(tmp_path), dbname="postgres"))
    failure = failure_of(refused, connecting=True)
    assert failure is not None
    assert failure.cause == Cause.UNREACHABLE
    assert "\n" not in failure.reason


def test_a_statement_that_failed_while_connecting_leaves_nothing_to_be_used(postgres: Any) -> None:
    failure = failure_of(with_code(postgres, "42P01"), connecting=True)
    assert failure == Failure(Cause.UNREACHABLE, "so it is")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A SQLite database of some hundred pages."""
    path = tmp_path / "some.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (x BLOB)")
        connection.executemany("INSERT INTO t VALUES (randomblob(?))", [(3000,)] * 100)
    return path


def failure_on(path: Path, *statements: str, read_only: bool = False) -> Failure | None:
    """What the last of the statements fails by."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        for statement in statements[:-1]:
            connection.execute(statement)
        return failure_of(raised_by(lambda: connection.execute(statements[-1]).fetchall()), read_only=read_only)


def test_sqlite_mistakes_are_not_the_databases(path: Path) -> None:
    for statement in ("SELECT nothing FROM t", "SELEC 1", "SELECT load_extension('x')", "BEGIN; BEGIN"):
        assert failure_on(path, statement) is None
    assert failure_on(path, "PRAGMA query_only = ON", "DELETE FROM t", read_only=True) is None


def test_a_sqlite_file_that_is_locked_full_or_missing(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert failure_on(path, "DELETE FROM t") == Failure(Cause.LOCKED, "database is locked")
    assert failure_on(path, "PRAGMA max_page_count = 1", "INSERT INTO t VALUES (randomblob(9999))") == Failure(
        Cause.FULL, "database or disk is full"
    )
    missing = raised_by(lambda: sqlite3.connect(f"file:{path}.not?mode=rw", uri=True))
    assert failure_of(missing) == Failure(Cause.UNREACHABLE, "unable to open database file", spoiled=True)


def test_a_sqlite_file_that_is_damaged_or_none(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (size - 8192))
    assert failure_on(path, "SELECT x FROM t") == Failure(
        Cause.DAMAGED, "database disk image is malformed", spoiled=True
    )
    path.write_bytes(b"not a database" * 100)
    assert failure_on(path, "SELECT x FROM t") == Failure(Cause.DAMAGED, "file is not a database", spoiled=True)


def test_a_sqlite_connection_that_was_closed(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.close()
    failure = failure_of(raised_by(lambda: connection.execute("SELECT 1")))
    assert failure is not None
    assert (failure.cause, failure.spoiled) == (Cause.LOST, True)


def test_a_sqlite_commit_that_could_not_be_written_is_in_doubt(path: Path) -> None:
    """The limit on the size of files makes the operating system refuse the write, in the middle of COMMIT."""
    with closing(sqlite3.connect(path, isolation_level=None, **CONNECT_ARGUMENTS)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (randomblob(9999))")
        with files_no_larger_than(4096):
            error = raised_by(connection.commit)
        assert isinstance(error, SqliteCommitInDoubt)
        failure = failure_of(error)
        assert failure is not None
        assert (failure.cause, failure.in_doubt, failure.spoiled) == (Cause.FAILED, True, True)
        assert str(failure) == "failed while it committed (disk I/O error)"


def test_errors_of_a_commit_in_doubt_are_the_drivers_too() -> None:
    assert issubclass(PostgresCommitInDoubt, psycopg2.OperationalError)
    assert issubclass(SqliteCommitInDoubt, sqlite3.OperationalError)
    assert failure_of(LookupError("x"), connecting=True) is None
