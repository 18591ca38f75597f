"""What the log of a server that is recovered says of pages that were not there."""

from io import BytesIO

import pytest

from tenantapp.fleet.archives.cluster_server import RecoveryLog

WANTED = 16385
LOST = "WARNING:  page 344 of relation {} is uninitialized\nWARNING:  WAL contains references to invalid pages\n"
ENDED = "LOG:  last completed transaction was at log time 2026-11-30 10:47:29.777668+00\n"


def log_of(said: str) -> RecoveryLog:
    log = RecoveryLog(WANTED)
    log.read(BytesIO(said.encode()))
    return log


@pytest.mark.parametrize(
    ("relation", "lacking"),
    [
        ("base/16386/16394", False),
        ("pg_tblspc/16390/PG_15_202209061/16386/16394", False),
        ("base/16385/16394", True),
        ("pg_tblspc/16390/PG_15_202209061/16385/16394_fsm", True),
        ("global/1262", True),
    ],
)
def test_only_other_databases_may_lack_pages(relation: str, lacking: bool) -> None:
    log = log_of(LOST.format("base/16386/1") + LOST.format(relation) + "LOG:  archive recovery complete\n")
    assert (log.missing is not None) == lacking


@pytest.mark.parametrize("said", ["commit of transaction 743, time 2026-11-30 10:47:30+00", "abort of transaction 9"])
def test_it_has_come_to_the_moment_if_it_has_seen_a_later_change(said: str) -> None:
    ready = "LOG:  database system is ready to accept connections\n"
    log = log_of(f"LOG:  recovery stopping before {said}\n{ENDED}{ready}")
    assert (log.stopped, log.ready.is_set()) == (True, True)
    # As servers before PostgreSQL 13 say when the log has ended.
    log = log_of(f"LOG:  redo done at 0/3000060\n{ENDED}{ready}")
    assert (log.stopped, log.ready.is_set()) == (False, True)


def test_why_a_server_did_not_come_to_the_moment() -> None:
    log = log_of(f"{ENDED}FATAL:  recovery ended before configured recovery target was reached\n")
    assert (log.too_short, log.last, log.ready.is_set()) == (True, "2026-11-30 10:47:29.777668+00", False)
    log = log_of(
        'LOG:  starting\nFATAL:  could not load library "x": no such file\nLOG:  database system is shut down\n'
    )
    assert (log.too_short, log.reason) == (False, 'could not load library "x": no such file')
