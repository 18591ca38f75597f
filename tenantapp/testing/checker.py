"""Check a history of what clients did to an application, under whatever faults, for what must never happen.

Each client notes when a request began and ended, what it wrote and read, and what it was told. Nothing but that is
believed. Every value is written once, so it is known whose write each read has seen. The method, and the names of
what is found, are those of Elle (Kingsbury and Alvaro, VLDB 2020, https://github.com/jepsen-io/elle): the values of a
key are appended to a list, so a read shows the order of the writes; from that follows which transaction depends on
which, and a cycle of dependencies is something that no order of transactions explains.

    python -m tenantapp.testing.checker history.jsonl

reads a history, one event a line as ``Event.to_json`` writes it, and ends with exit status 1 if it finds anything.
"""

import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from tenantapp.testing.histories import Append as Append
from tenantapp.testing.histories import Event as Event
from tenantapp.testing.histories import Outcome as Outcome
from tenantapp.testing.histories import Read as Read
from tenantapp.testing.histories import Revocation as Revocation


class Anomaly(StrEnum):
    """What must never happen."""

    LOST = "lost"  # an acknowledged write is missing in a later read
    DOUBLED = "doubled"  # a value is there twice
    WRONG_TENANT = "wrong tenant"  # a value of one tenant was read in another
    INVENTED = "invented"  # nobody has written the value
    KEPT_FAILURE = "kept failure"  # a write that was said to have failed was kept
    REORDERED = "reordered"  # two reads show the same writes in different orders
    CYCLE = "cycle"  # no order of the transactions explains what they have seen
    STALE_ACCESS = "stale access"  # a request of a person whose access was revoked before has succeeded


class Finding(NamedTuple):
    """Something that must never happen, in words, and the events that show it."""

    anomaly: Anomaly
    words: str
    events: tuple[Event, ...]


class History:
    """Events from many threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.events: list[Event] = []
        self.revocations: list[Revocation] = []

    def add(self, event: Event) -> None:
        """Note an event."""
        with self._lock:
            self.events.append(event)

    def revoked(self, revocation: Revocation) -> None:
        """Note that somebody lost their access."""
        with self._lock:
            self.revocations.append(revocation)

    def save(self, path: Path) -> None:
        """Write the events into a file, for later."""
        with self._lock:
            path.write_text("".join(f"{event.to_json()}\n" for event in self.events))

    def findings(self, *, serializable: bool = False) -> list[Finding]:
        """Return what must never happen and has."""
        with self._lock:
            return check(self.events, self.revocations, serializable=serializable)


Key = tuple[str, str]
"""The tenant and the key of a list or set."""


@dataclass(slots=True)
class _Written:
    """The writes of a history, by their values."""

    by: dict[str, tuple[Event, Append]] = field(default_factory=dict)

    def in_this(self, key: Key, value: str) -> Event | None:
        """Return who wrote this value to this key."""
        found = self.by.get(value)
        return found[0] if found is not None and (found[0].tenant, found[1].key) == key else None


def check(
    events: Sequence[Event], revocations: Iterable[Revocation] = (), *, serializable: bool = False
) -> list[Finding]:
    """Return what must never happen and has.

    ``serializable`` says that the transactions were to be as if one was after the other. Without it, as on PostgreSQL
    by default (READ COMMITTED), a transaction may read a key before, and another one after a change (``rw`` in Elle),
    so only cycles without that are found. Raises ``ValueError`` if two writes have the same value.
    """
    written = _Written()
    for event in events:
        for append in event.appended:
            if append.value in written.by:
                raise ValueError(f"the value {append.value!r} was written twice, so a read does not tell by whom")
            written.by[append.value] = (event, append)
    reads = _reads(events)
    orders = {key: _order(found) for key, found in reads.items() if not found[0][1].is_set}
    return [
        *_strange_values(reads, written),
        *_reordered(reads, orders),
        *_lost(reads, orders, written),
        *_cycles(events, orders, written, serializable=serializable),
        *_stale_access(events, revocations),
    ]


def _reads(events: Iterable[Event]) -> dict[Key, list[tuple[Event, Read]]]:
    """Return the reads of each key, in the order in which they ended."""
    found = defaultdict[Key, list[tuple[Event, Read]]](list)
    for event in sorted(events, key=lambda event: event.ended):
        if event.outcome == Outcome.OK:
            for read in event.read:
                found[event.tenant, read.key].append((event, read))
    return dict(found)


def _strange_values(reads: Mapping[Key, list[tuple[Event, Read]]], written: _Written) -> Iterator[Finding]:
    """Find values that are there twice, that nobody wrote, that failed, and that are another tenant's."""
    seen = set[tuple[Key, str, Anomaly]]()
    for key, found in reads.items():
        for event, read in found:
            for value, number in _counted(read.values).items():
                for anomaly, words, others in _strange(key, value, number, written):
                    if (key, value, anomaly) not in seen:
                        seen.add((key, value, anomaly))
                        yield Finding(anomaly, words, (*others, event))


def _strange(key: Key, value: str, number: int, written: _Written) -> Iterator[tuple[Anomaly, str, tuple[Event, ...]]]:
    where = f"in {key[1]} of {key[0]}"
    if number > 1:
        yield Anomaly.DOUBLED, f"{value} is {number} times {where}", ()
    if value not in written.by:
        yield Anomaly.INVENTED, f"{value} is {where}, and nobody wrote it", ()
        return
    writer, append = written.by[value]
    if writer.tenant != key[0]:
        yield Anomaly.WRONG_TENANT, f"{value} was written in {writer.tenant}, and is {where}", (writer,)
    elif append.key != key[1]:
        yield Anomaly.INVENTED, f"{value} was written to {append.key}, and is {where}", (writer,)
    elif writer.outcome == Outcome.FAILED:
        yield Anomaly.KEPT_FAILURE, f"{value} is {where}, although it was said that nothing was kept", (writer,)


def _counted(values: Iterable[str]) -> dict[str, int]:
    counts = dict[str, int]()
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts


def _order(found: Sequence[tuple[Event, Read]]) -> tuple[str, ...]:
    """Return the values of a list in the order in which they were appended: the longest read has it."""
    return max((tuple(dict.fromkeys(read.values)) for _, read in found), key=len)


def _reordered(
    reads: Mapping[Key, list[tuple[Event, Read]]], orders: Mapping[Key, tuple[str, ...]]
) -> Iterator[Finding]:
    """Find reads of a list that are not a beginning of the longest read."""
    for key, order in orders.items():
        for event, read in reads[key]:
            values = tuple(dict.fromkeys(read.values))
            if values != order[: len(values)]:
                place = next(i for i, value in enumerate(values) if value != order[i])
                words = f"{key[1]} of {key[0]} has {values[place]} where another read has {order[place]}"
                yield Finding(Anomaly.REORDERED, words, (event,))
                break  # one for each key: others usually have the same cause


def _lost(
    reads: Mapping[Key, list[tuple[Event, Read]]], orders: Mapping[Key, tuple[str, ...]], written: _Written
) -> Iterator[Finding]:
    """Find acknowledged writes that a read lacks which began afterwards."""
    writes = defaultdict[Key, list[tuple[str, Event]]](list)
    for value, (writer, append) in written.by.items():
        if writer.outcome == Outcome.OK:
            writes[writer.tenant, append.key].append((value, writer))
    for key, found in reads.items():
        later = _Later(found, orders.get(key))
        for value, writer in writes.get(key, ()):
            if (lacking := later.lacking(value, writer.ended)) is not None:
                words = f"{value} was acknowledged, and is missing in {key[1]} of {key[0]}"
                yield Finding(Anomaly.LOST, words, (writer, lacking))


class _Later:
    """The reads of a key in the order in which they began, to find one after a moment that lacks a value.

    A read of a list is a beginning of its order, so it lacks what comes after its length: no read is looked through.
    """

    def __init__(self, found: Sequence[tuple[Event, Read]], order: tuple[str, ...] | None) -> None:
        self._found = sorted(found, key=lambda each: each[0].began)
        self._began = [event.began for event, _ in self._found]
        self._place = None if order is None else {value: place for place, value in enumerate(order)}
        self._sets: list[frozenset[str]] = []
        # The shortest read from each one on.
        self._shortest: list[int] = []
        if order is None:
            self._sets = [frozenset(read.values) for _, read in self._found]
            return
        shortest = len(self._found) - 1
        for number in range(len(self._found) - 1, -1, -1):
            if len(self._found[number][1].values) < len(self._found[shortest][1].values):
                shortest = number
            self._shortest.append(shortest)
        self._shortest.reverse()

    def lacking(self, value: str, after: float) -> Event | None:
        """Return a read that began after this moment and lacks the value, or None."""
        first = bisect_right(self._began, after)
        if first == len(self._found):
            return None
        if self._place is None:
            lacks = (number for number in range(first, len(self._found)) if value not in self._sets[number])
            number = next(lacks, None)
            return None if number is None else self._found[number][0]
        event, read = self._found[self._shortest[first]]
        return event if len(read.values) <= self._place.get(value, len(read.values)) else None


def _cycles(
    events: Sequence[Event], orders: Mapping[Key, tuple[str, ...]], written: _Written, *, serializable: bool
) -> Iterator[Finding]:
    """Find a cycle of transactions each of which must have been before the next one."""
    before: dict[int, set[int]] = {number: set() for number in range(len(events))}
    number_of = {id(event): number for number, event in enumerate(events)}

    def add(first: Event | None, second: Event | None) -> None:
        if first is not None and second is not None and first is not second:
            before[number_of[id(second)]].add(number_of[id(first)])

    writers = {key: [written.in_this(key, value) for value in order] for key, order in orders.items()}
    for those in writers.values():
        for first, second in pairwise(those):
            add(first, second)  # ww: one has overwritten the other
    for event in events:
        for read in event.read if event.outcome == Outcome.OK else ():
            those = writers.get((event.tenant, read.key), [])
            seen = min(len(set(read.values)), len(those))
            if seen:
                add(those[seen - 1], event)  # wr: one has read the other
            if serializable and seen < len(those):
                add(event, those[seen])  # rw: one has not yet read the other
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        those_events = tuple(events[number] for number in error.args[1][:-1])
        yield Finding(Anomaly.CYCLE, f"{len(those_events)} transactions depend on each other in a circle", those_events)


def _stale_access(events: Iterable[Event], revocations: Iterable[Revocation]) -> Iterator[Finding]:
    """Find requests that succeeded although they began after the access was revoked."""
    revoked = defaultdict[tuple[str, str], list[Revocation]](list)
    for each in revocations:
        revoked[each.tenant, each.person].append(each)
    for event in events:
        for each in revoked.get((event.tenant, event.person), ()):
            if event.outcome == Outcome.OK and each.ended < event.began and event.ended < each.granted_again:
                words = f"{event.person} had no access to {event.tenant} any more, and was served"
                yield Finding(Anomaly.STALE_ACCESS, words, (event,))
                break


def main(arguments: Sequence[str]) -> int:
    """Check the histories in these files, and print what is found. Return the exit status."""
    found = 0
    for name in arguments:
        try:
            events = [Event.of_json(line) for line in Path(name).read_text().splitlines()]
            findings = check(events)
        except (OSError, ValueError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        for finding in findings:
            print(f"{finding.anomaly}: {finding.words}")
            for event in finding.events:
                print(f"    {event.to_json()}")
        print(f"{name}: {len(events)} events, {len(findings)} findings")
        found += len(findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
