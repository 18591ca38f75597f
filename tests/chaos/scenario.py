"""One fault under load, and what came of it."""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from tenantapp.testing.checker import Anomaly, Event, Finding, Outcome, Read, check
from tests.chaos.clients import Crowd
from tests.chaos.faults import Fault
from tests.chaos.worlds import World

BEFORE: Final = 0.3  # the part of the time before the fault
PATIENCE: Final = 60.0  # seconds until everybody must be served again


class Row(NamedTuple):
    """What came of a scenario: a row of the table. ``outage`` is in seconds."""

    engine: str
    fault: str
    requests: int
    acknowledged: int
    unknown: int
    findings: tuple[str, ...]
    outage: float
    unexpected: dict[str, int]

    @property
    def is_well(self) -> bool:
        """Whether nothing happened that must not."""
        return not self.findings and not self.unexpected

    def cells(self) -> tuple[str, ...]:
        """Return the words of the row."""
        strange = ", ".join(f"{words} ({number})" for words, number in self.unexpected.items())
        numbers = (self.requests, self.acknowledged, self.unknown, len(self.findings))
        return (self.engine, self.fault, *map(str, numbers), f"{self.outage:.1f}", strange or "none")


HEAD: Final = (
    "engine", "fault", "requests", "writes acknowledged", "unknown", "findings", "outage, s", "unexpected answers",
)  # fmt: skip


def table(rows: list[Row]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [HEAD, tuple("---" for _ in HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def run(world: World, fault: Fault, seconds: float, crowd: Crowd) -> Row:
    """Let a crowd work for this time while the fault happens, and check what it has noted.

    Raises ``AssertionError`` if the check would not see a loss in the history.
    """
    began = time.monotonic()
    crowd.start()
    time.sleep(BEFORE * seconds)
    fault.happen(world)
    unexpected = served_again(crowd)
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    crowd.end()
    findings = tuple(in_words(finding, crowd) for finding in crowd.history.findings())
    assert_a_loss_is_found(crowd.history.events)
    outcomes = crowd.told.outcomes
    return Row(
        world.engine,
        fault.name,
        crowd.told.requests,
        outcomes[Outcome.OK],
        outcomes[Outcome.UNKNOWN],
        findings,
        crowd.outage(),
        dict(crowd.told.unexpected) | unexpected,
    )


def keep(world: World, name: str, crowd: Crowd, histories: Path) -> None:
    """Keep the history and the application's log in this directory."""
    file = f"{world.engine} {name}".replace(" ", "-")
    crowd.history.save(histories / f"{file}.jsonl")
    shutil.copy(world.server.directory / "stdout", histories / f"{file}.log")


def in_words(finding: Finding, crowd: Crowd) -> str:
    """Return what was found, and what the client was told of each of the writes."""
    values = [append.value for event in finding.events for append in event.appended]
    told = ", ".join(f"{value}: {crowd.told.answers[value]}" for value in values)
    return f"{finding.anomaly}: {finding.words}; {told}"


def served_again(crowd: Crowd) -> dict[str, int]:
    """Wait until every client is served; return how many are not, though nothing is broken any more."""
    repaired = time.monotonic()
    while not crowd.served_since(repaired):
        if time.monotonic() > repaired + PATIENCE:
            left = [client for client in crowd.clients if client.moments[-1] <= repaired]
            return {f"not served {PATIENCE:g} s after the repair": len(left)}
        time.sleep(0.1)
    return {}


def assert_a_loss_is_found(events: list[Event]) -> None:
    """Take an acknowledged write out of every read, and see that the check misses it."""
    assert Anomaly.LOST in {finding.anomaly for finding in check(with_a_loss(events))}, "the check sees no loss"


def with_a_loss(events: list[Event]) -> list[Event]:
    """Return the history as if the first acknowledged write had been forgotten."""
    lost = next(event for event in events if event.outcome == Outcome.OK and event.appended)
    value = lost.appended[0].value
    return [replace(event, read=tuple(without(value, read) for read in event.read)) for event in events]


def without(value: str, read: Read) -> Read:
    """Return what would have been read if the value had not been there."""
    return read._replace(values=tuple(each for each in read.values if each != value))
