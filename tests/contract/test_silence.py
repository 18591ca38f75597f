"""Servers that fall silent while a command or a worker waits for them: real ones, whose processes are all stopped."""

import io
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from threading import Thread
from typing import Any

import psycopg2
import pytest
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tenantapp.databases.connections.maintenance_engines import maintenance_connection
from tenantapp.databases.errors import DatabaseUnreachable
from tenantapp.fleet.backups import postgres_dumps
from tenantapp.fleet.backups.postgres_tools import choose_tools
from tenantapp.fleet.errors import BackupFailed
from tenantapp.sql import silence
from tenantapp.sql.engines import make_engine, server_version
from tenantapp.sql.errors import DatabaseUnavailable
from tenantapp.sql.failures import Cause, Failure, NoAnswer, NoAnswerToCommit, failure_of
from tenantapp.sql.postgres_connections import CONNECT_ARGUMENTS
from tests.postgres import own_postgres, postgres_bin
from tests.slow_databases import at_last, frozen, impatient

SILENT = "the server has fallen silent: it answers no other connection either"


class Unavailable(DatabaseUnavailable):
    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    with own_postgres() as url:
        yield url


def connect(server: URL) -> Any:
    """A connection as all of ours are."""
    return psycopg2.connect(host=server.query["host"], user=server.username, dbname="postgres", **CONNECT_ARGUMENTS)


class Waiting(Thread):
    """Work that waits for a server. ``error`` is how it ends."""

    error: BaseException | None = None

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self.error = error

    def ended(self) -> BaseException | None:
        self.join(20)
        assert not self.is_alive(), "it hangs"
        return self.error


def test_no_wait_outlasts_a_frozen_server(server: URL) -> None:
    """A statement, COPY, a cursor of the server, ROLLBACK, COMMIT; the return to a pool, and the work of a command."""
    connections = [connect(server) for _ in range(5)]
    statement, copy, named, rollback, commit = connections
    for connection in connections:
        connection.cursor().execute("SELECT 1")
    rows = named.cursor("rows")
    rows.execute("SELECT generate_series(1, 1000000)")
    engine = make_engine(server, unavailable=Unavailable, pool_timeout=1)
    pooled = engine.connect()
    pooled.execute(text("SELECT 1"))
    maintenance = maintenance_connection(server, "acme")
    maintained = maintenance.__enter__()
    maintained.execute(text("SELECT 1"))

    def maintain() -> None:
        try:
            maintained.execute(text("SELECT 1"))
        except Exception as error:
            maintenance.__exit__(type(error), error, None)

    with impatient(), frozen(server):
        started = time.monotonic()
        waiting = [
            Waiting(lambda: statement.cursor().execute("SELECT 1")),
            Waiting(lambda: copy.cursor().copy_expert("COPY pg_class TO STDOUT", io.StringIO())),
            Waiting(lambda: rows.fetchmany(100000)),
            Waiting(rollback.rollback),
        ]
        committing, returning, command = Waiting(commit.commit), Waiting(pooled.close), Waiting(maintain)
        for each in waiting:
            error = each.ended()
            assert isinstance(error, NoAnswer)
            assert failure_of(error) == Failure(Cause.SILENT, SILENT, spoiled=True)
        doubt = committing.ended()
        assert isinstance(doubt, NoAnswerToCommit)
        assert failure_of(doubt) == Failure(Cause.SILENT, SILENT, spoiled=True, in_doubt=True)
        assert isinstance(returning.ended(), Unavailable)
        unreachable = command.ended()
        assert isinstance(unreachable, DatabaseUnreachable)
        assert SILENT in str(unreachable)
        for connection in connections:
            connection.close()
        assert time.monotonic() - started < 10
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    with engine.connect() as again:
        assert again.scalar(text("SELECT 1")) == 1
    engine.dispose()


def test_every_way_to_ask_is_watched(server: URL) -> None:
    ways: list[Callable[[Any], object]] = [
        lambda cursor: cursor.callproc("pg_sleep", [20]),
        lambda cursor: cursor.copy_to(io.StringIO(), "pg_class"),
        lambda cursor: cursor.copy_from(io.StringIO("1\n"), "pg_class", columns=["oid"], size=8),
        lambda cursor: cursor.copy_expert("COPY pg_class TO STDOUT", io.StringIO(), size=8),
    ]
    cursors = [connect(server).cursor() for _ in ways]
    with impatient(), frozen(server):
        waiting = [Waiting(partial(way, cursor)) for way, cursor in zip(ways, cursors, strict=True)]
        assert {type(each.ended()) for each in waiting} == {NoAnswer}
    for cursor in cursors:
        cursor.connection.close()


def test_a_long_statement_goes_on_while_the_server_answers(server: URL) -> None:
    with impatient(), closing(connect(server)) as connection:
        address = connection.server()
        connection.cursor().execute("SELECT pg_sleep(0.7)")
        assert address in silence.watch._next_ask, "it was not asked"


def test_no_wait_is_without_an_end(server: URL) -> None:
    """One process alone may have stopped, or wait for a standby that never confirms."""
    with impatient(commit=0.5), closing(connect(server)) as holding, closing(connect(server)) as waiting:
        holding.cursor().execute("SELECT pg_advisory_lock(1)")
        waiting.cursor().execute(
            "CREATE TABLE t (x int); CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;"
            " CREATE CONSTRAINT TRIGGER hang AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION hang(); INSERT INTO t VALUES (1)"
        )
        with pytest.raises(NoAnswerToCommit, match=r"there was no answer within 0 seconds|within 1 seconds"):
            waiting.commit()


def test_that_this_machine_cannot_ask_is_not_the_servers_silence(server: URL) -> None:
    with closing(connect(server)) as connection:
        address = connection.server()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
    try:
        with ExitStack() as stack:
            with suppress(OSError):
                for _ in range(soft):
                    stack.enter_context(open(os.devnull))
            with pytest.raises(OSError, match="Too many open files"):
                silence.answers(address, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_one_question_in_vain_long_ago_is_no_silence(server: URL) -> None:
    watch = silence.SilenceWatch(silence.Times())
    with closing(connect(server)) as connection:
        watch._silent_since[connection.server()] = 0.0
    watch._look([])
    assert watch._silent_since == {}


def test_longer_statements_have_a_longer_end() -> None:
    with silence.statements_take(1.0):
        assert silence._most.get() == 1860
    with silence.statements_take(7200.0):
        assert silence._most.get() == 7260


def test_a_dump_of_a_silent_server_ends(server: URL) -> None:
    """pg_dump waits for a lock when its server freezes."""
    engine = create_engine(server, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE locked (x int)"))
    with (
        impatient(),
        engine.connect() as holding,
        engine.connect().execution_options(isolation_level="REPEATABLE READ") as snapshot,
    ):
        name = str(snapshot.scalar(select(func.pg_export_snapshot())))
        holding.execute(text("LOCK TABLE locked"))

        tools = choose_tools(postgres_bin("pginstall18"), server_version(snapshot))

        def dump() -> None:
            with postgres_dumps.dump(tools, server, "acme", name) as chunks:
                for _ in chunks:
                    pass

        dumping = Waiting(dump)
        waits = text("SELECT true FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event = 'relation'")
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watching:
            at_last(lambda: bool(watching.scalar(waits)))
        with frozen(server):
            error = dumping.ended()
        assert isinstance(error, BackupFailed)
        assert SILENT in str(error)


def test_the_thread_ends_without_waits_and_on_demand(server: URL) -> None:
    with impatient(rest=0.1), closing(connect(server)) as connection:
        connection.cursor().execute("SELECT 1")
        assert silence.watch._thread is not None
        at_last(lambda: silence.watch._thread is None)
        connection.cursor().execute("SELECT 1")
        silence.watch.stop()
        assert silence.watch._thread is None
