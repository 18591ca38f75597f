"""The checker of histories finds what is planted, and nothing in what is right."""

import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tenantapp.testing.checker import Anomaly, Append, Event, History, Outcome, Read, Revocation, check

Plant = Callable[[list[Event]], None]


def history(transactions: int = 200) -> list[Event]:
    """What clients see of a database that works: transactions one after the other, and some that fail or get lost."""
    random_ = random.Random(7)
    lists = {(tenant, key): list[str]() for tenant in ("acme", "other") for key in ("a", "b", "c")}
    values, events = count(), list[Event]()
    for moment in range(transactions):
        tenant, keys = random_.choice(["acme", "other"]), random_.sample(["a", "b", "c"], 2)
        outcome = random_.choices(list(Outcome), [8, 1, 1])[0]
        kept = outcome == Outcome.OK or (outcome == Outcome.UNKNOWN and random_.random() < 0.5)
        read = tuple(Read(key, tuple(lists[tenant, key])) for key in keys)
        appended = tuple(Append(key, f"v{next(values)}") for key in keys)
        if kept:
            for append in appended:
                lists[tenant, append.key].append(append.value)
        seen = read if outcome == Outcome.OK else ()
        events.append(Event(tenant, "bob", moment, moment + 0.5, outcome, appended, seen))
    for tenant, key in lists:
        last = Read(key, tuple(lists[tenant, key]))
        events.append(Event(tenant, "bob", transactions + 1, transactions + 2, Outcome.OK, (), (last,)))
    return events


def last_read(events: list[Event], tenant: str = "acme", key: str = "a") -> int:
    """The number of the event that reads all of a key at the end."""
    return next(n for n, e in enumerate(events) if not e.appended and (e.tenant, e.read[0].key) == (tenant, key))


def reread(events: list[Event], number: int, change: Callable[[list[str]], None]) -> None:
    """Let a read have seen something else."""
    first, *others = events[number].read
    values = list(first.values)
    change(values)
    events[number] = replace(events[number], read=(Read(first.key, tuple(values)), *others))


def acknowledged(events: list[Event], key: str = "a") -> str:
    """A value that was acknowledged in acme."""
    return next(
        append.value
        for event in events[20:]
        for append in event.appended
        if (event.tenant, event.outcome, append.key) == ("acme", Outcome.OK, key)
    )


def lose(events: list[Event]) -> None:
    value = acknowledged(events)
    for number, event in enumerate(events):
        read = tuple(Read(r.key, tuple(v for v in r.values if v != value)) for r in event.read)
        events[number] = replace(event, read=read)


def lose_the_last(events: list[Event]) -> None:
    reread(events, last_read(events), lambda values: values.__delitem__(slice(-3, None)))


def double(events: list[Event]) -> None:
    reread(events, last_read(events), lambda values: values.append(values[-1]))


def mix_tenants(events: list[Event]) -> None:
    other = events[last_read(events, "other")].read[0].values[0]
    reread(events, last_read(events), lambda values: values.append(other))


def invent(events: list[Event]) -> None:
    reread(events, last_read(events), lambda values: values.append("nobody's"))


def keep_a_failure(events: list[Event]) -> None:
    number = next(i for i, event in enumerate(events) if event.outcome == Outcome.OK and event.appended)
    events[number] = replace(events[number], outcome=Outcome.FAILED, read=())


def reorder(events: list[Event]) -> None:
    def swap(values: list[str]) -> None:
        values[0], values[1] = values[1], values[0]

    reread(events, next(n for n, e in enumerate(events) if e.read and 3 < len(e.read[0].values) < 9), swap)


def cycle(events: list[Event]) -> None:
    """Two transactions each of which has read what the other wrote."""
    events += [
        Event("acme", "x", 0, 500, Outcome.OK, (Append("p", "p1"),), (Read("q", ("q1",)),)),
        Event("acme", "y", 0, 500, Outcome.OK, (Append("q", "q1"),), (Read("p", ("p1",)),)),
    ]


PLANTS: dict[Plant, set[Anomaly]] = {
    lose: {Anomaly.LOST},
    lose_the_last: {Anomaly.LOST},
    double: {Anomaly.DOUBLED},
    mix_tenants: {Anomaly.WRONG_TENANT},
    invent: {Anomaly.INVENTED},
    keep_a_failure: {Anomaly.KEPT_FAILURE},
    reorder: {Anomaly.REORDERED},
    cycle: {Anomaly.CYCLE},
}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_what_is_planted_is_found_and_nothing_else(plant: Plant) -> None:
    events = history()
    assert check(events, serializable=True) == []
    plant(events)
    assert {finding.anomaly for finding in check(events)} == PLANTS[plant]


def test_a_read_that_has_seen_one_half_of_a_transaction_is_found_if_they_were_to_be_serializable() -> None:
    events = [
        Event("acme", "x", 0, 1, Outcome.OK, (Append("p", "p1"), Append("q", "q1"))),
        Event("acme", "y", 0, 1, Outcome.OK, (), (Read("p", ("p1",)), Read("q", ()))),
        Event("acme", "y", 2, 3, Outcome.OK, (), (Read("p", ("p1",)), Read("q", ("q1",)))),
    ]
    assert [finding.anomaly for finding in check(events, serializable=True)] == [Anomaly.CYCLE]
    assert check(events) == []


def test_rows_without_an_order_are_a_set() -> None:
    events = [Event("acme", "x", n, n + 0.5, Outcome.OK, (Append("nodes", f"n{n}"),)) for n in range(5)]
    read = Event("acme", "x", 9, 10, Outcome.OK, (), (Read("nodes", ("n3", "n1", "n0", "n2", "n4"), is_set=True),))
    assert check([*events, read]) == []
    short = replace(read, read=(Read("nodes", ("n3", "n1", "n1", "n0", "n2"), is_set=True),))
    assert {finding.anomaly for finding in check([*events, short])} == {Anomaly.LOST, Anomaly.DOUBLED}
    early = replace(short, began=3.1)
    assert {finding.anomaly for finding in check([*events, early])} == {Anomaly.DOUBLED}, "it began before the write"


@pytest.mark.parametrize(
    ("began", "ended", "granted_again", "served"),
    [(6, 7, 100, True), (4, 7, 100, False), (6, 7, 6.5, False), (101, 102, 100, False)],
)
def test_who_has_no_access_is_not_served(began: float, ended: float, granted_again: float, served: bool) -> None:
    event = Event("acme", "eve", began, ended, Outcome.OK)
    others = [replace(event, person="bob"), replace(event, tenant="other"), replace(event, outcome=Outcome.FAILED)]
    found = History()
    for each in [event, *others]:
        found.add(each)
    found.revoked(Revocation("acme", "eve", 5, granted_again))
    assert [finding.events for finding in found.findings()] == ([(event,)] if served else [])


def test_a_file_is_checked_by_a_command(tmp_path: Path) -> None:
    found, events = History(), history()
    lose(events)
    for event in events:
        found.add(event)
    found.save(tmp_path / "history.jsonl")

    def run(name: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "tenantapp.testing.checker", name]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run("history.jsonl")
    assert done.returncode == 1
    assert done.stdout.startswith("lost: v")
    (tmp_path / "wrong").write_text('{"tenant": 1}\n')
    assert [run(name).returncode for name in ("wrong", "missing")] == [2, 2]
    with pytest.raises(ValueError, match="twice"):
        check([events[0], events[0]])
