"""Counters that processes share in a file, by real processes, and beside those of the package that they stand for."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from limits import RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter

from tenantapp.limiting import shared_counters
from tenantapp.limiting.shared_counters import SharedCounters

MOST = 10**9
FORK: Any = multiprocessing.get_context("fork")


def in_process(work: Callable[[], None]) -> Any:
    process = FORK.Process(target=work)
    process.start()
    return process


def counting(directory: Path, times: int, key: str = "key") -> Callable[[], None]:
    def count() -> None:
        counters = SharedCounters(directory, 4)
        for _ in range(times):
            counters.charge([(key, 1, MOST, 86400)])

    return count


def test_processes_that_count_at_the_same_moment_lose_nothing(tmp_path: Path) -> None:
    counters = SharedCounters(tmp_path, 4)
    assert counters.charge([("key", 1, MOST, 86400)])[0][0] == 1
    processes = [in_process(counting(tmp_path, 2000)) for _ in range(3)]
    for process in processes:
        process.join()
    assert counters.get("key") == 6001
    assert counters.charge([("key", 1, MOST, 86400)])[0][0] == 6002
    assert counters.get("another") == 0


def test_what_a_killed_or_stopped_process_counted_stays_and_nobody_waits_for_it(tmp_path: Path) -> None:
    counters = SharedCounters(tmp_path, 4)
    counters.charge([("key", 1, MOST, 86400)])
    process = in_process(counting(tmp_path, MOST))
    while counters.get("key") < 100:
        pass
    os.kill(process.pid, signal.SIGSTOP)
    stopped = counters.get("key")
    assert counters.charge([("key", 1, MOST, 86400)])[0][0] == stopped + 1
    process.kill()
    process.join()
    another = in_process(counting(tmp_path, 10))  # in the place of the killed one
    another.join()
    assert counters.get("key") == stopped + 11


def test_counters_begin_anew_when_all_processes_have_ended(tmp_path: Path) -> None:
    in_process(counting(tmp_path, 5)).join()
    assert SharedCounters(tmp_path, 4).get("key") == 0


def test_a_window_ends_and_windows_of_keys_end_at_different_moments(tmp_path: Path) -> None:
    now = [1000.0]
    counters = SharedCounters(tmp_path, 2, lambda: now[0])
    (first, left), (_, other) = counters.charge([("a", 1, 9, 3600), ("b", 1, 9, 3600)])
    assert (first, left != other) == (1, True)
    now[0] += left - 1
    assert counters.charge([("a", 1, 9, 3600)]) == [(2, 1)]
    now[0] += 1
    assert counters.get("a") == 0
    assert counters.charge([("a", 1, 9, 3600)]) == [(1, 3600)]


def test_beyond_the_most_of_one_nothing_after_it_is_counted(tmp_path: Path) -> None:
    counters = SharedCounters(tmp_path, 2)
    charges = [("person", 1, 1, 86400), ("tenant", 1, 9, 86400)]
    assert len(counters.charge(charges)) == 2
    assert [count for count, _ in counters.charge(charges)] == [2]
    assert counters.get("tenant") == 1


def test_its_files_look_used_while_it_counts(tmp_path: Path) -> None:
    """What cleans a directory for temporary files would remove them, and those who start later would count apart."""
    now = [1000.0]
    counters = SharedCounters(tmp_path, 2, clock=lambda: now[0])
    counters.charge([("key", 1, MOST, 86400)])
    files = [tmp_path / name for name in ("slot_0.lock", "counters_2")]
    for file in files:
        os.utime(file, (1, 1))
    counters.charge([("key", 1, MOST, 86400)])
    assert {file.stat().st_mtime for file in files} == {1}
    now[0] += 3601
    counters.charge([("key", 1, MOST, 86400)])
    assert all(file.stat().st_mtime > 1 for file in files)


def test_a_full_row_forgets_who_asks_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_counters, "_place", lambda key: (2 * int(key) + 1, 0))
    counters = SharedCounters(tmp_path, 2)
    counters.charge([("1", 100, MOST, 86400)])
    for key in range(2, 40):
        counters.charge([(str(key), 1, MOST, 86400)])
    assert counters.get("1") == 100
    assert [counters.get(str(key)) for key in (2, 39)] == [0, 1]


@pytest.mark.parametrize("fault", ["no directory", "no room", "too many"])
def test_without_the_file_a_process_counts_by_itself(
    fault: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, others = tmp_path / "counters", []
    if fault == "no directory":
        directory.write_text("")
    elif fault == "no room":

        def full(*arguments: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
    else:
        others = [SharedCounters(directory, 1)]
        others[0].incr("key", 60)
    counters = SharedCounters(directory, 1)
    assert [counters.incr("key", 86400) for _ in range(2)] == [1, 2]
    assert caplog.text.count("This process counts requests by itself") == 1


def test_they_are_a_storage_of_the_package(tmp_path: Path) -> None:
    counters = SharedCounters(tmp_path, 2)
    limiter, limit = FixedWindowRateLimiter(counters), RateLimitItemPerMinute(3, 1440)
    assert [limiter.hit(limit, "ada") for _ in range(4)] == [True, True, True, False]
    assert limiter.get_window_stats(limit, "ada").remaining == 0
    assert (limiter.test(limit, "bob"), limiter.hit(limit, "bob", cost=4)) == (True, False)
    limiter.clear(limit, "ada")
    assert limiter.hit(limit, "ada")
    counters.reset()
    assert (counters.get(limit.key_for("ada")), counters.check()) == (0, True)
