"""How long the tests take: which files go first, and what is said at the end."""

import os
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

# What takes long goes first: begun last, it would keep one process busy while the others have nothing left to do.
# test_migrating.py is the first of all: a migration forks its jobs, which is quick, only while there are no threads.
LONGEST_FIRST: Final = (
    "test_migrating.py",
    "test_random_steps.py",
    "test_operator.py",
    "test_killed_copies.py",
    "test_production.py",
    "test_replicas.py",
    "test_several_machines.py",
    "test_connection_budget.py",
    "test_killed_migration.py",
    "test_killed_backups.py",
    "test_replication.py",
    "test_move.py",
    "test_faults.py",
    "test_killed_creation.py",
    "test_bundles.py",
    "test_backup_operations.py",
    "test_wheel.py",
    "test_many_at_once.py",
    "test_pgbouncer.py",
)
LONG: Final = 10.0  # seconds; each test that takes longer is named
TOO_LONG: Final = 120.0  # seconds; a test that takes longer waits for something, and fails the whole under CI
SHOWN: Final = 10


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests by their files. The order is the same in every process, as xdist needs it."""
    places = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(Path(item.path).name, len(places)))


class Durations:
    """Notes how long each test takes, its fixtures included."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._missing: dict[str, int] = defaultdict(int)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        if report.skipped and isinstance(report.longrepr, tuple):
            self._missing[report.longrepr[2].removeprefix("Skipped: ")] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        slowest = sorted(self._seconds.items(), key=lambda entry: -entry[1])
        shown = [entry for number, entry in enumerate(slowest) if number < SHOWN or entry[1] > LONG]
        terminalreporter.section(f"the {SHOWN} slowest tests, and all over {LONG:.0f} s")
        for name, seconds in shown:
            terminalreporter.write_line(f"{seconds:8.2f} s  {name}")
        for reason, count in self._missing.items():
            terminalreporter.write_line(f"{count} skipped: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if os.environ.get("CI") == "true" and max(self._seconds.values(), default=0.0) > TOO_LONG:
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
