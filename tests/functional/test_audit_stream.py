"""The audit trail is sent on: everything, also if a receiver fails or a sender dies."""

from collections.abc import Sequence
from typing import Any

import pytest

from tenantapp.audit.errors import NotSent
from tenantapp.audit.exporting import Line
from tenantapp.audit.sealing import Sealer
from tenantapp.audit.streaming import Streamer
from tenantapp.identity.audit import record
from tenantapp.testing.clock import Clock
from tests.installation import Installation


class Kept:
    """Keeps what it takes, and fails as it is told."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.requests = 0
        self.failure: BaseException | None = None

    def send(self, lines: Sequence[Line]) -> None:
        self.requests += 1
        if self.failure is not None:
            raise self.failure
        self.lines += lines

    def take(self) -> list[tuple[str, int]]:
        taken = [(line["chain"], line["position"]) for line in self.lines]
        self.lines = []
        return taken


def write(installation: Installation, count: int) -> None:
    user_db = installation.registry.user_db
    with user_db.begin() as session:
        for _ in range(count):
            record(session, "test.done")
    Sealer(user_db, None).seal_all()


def test_every_entry_is_sent_in_the_order_of_its_chain(installation: Installation) -> None:
    write(installation, 5)
    kept = Kept()
    streamer = Streamer(installation.registry.user_db, kept, at_once=4)
    while streamer.work():
        assert len(kept.lines) <= 4 * kept.requests
    sent = kept.take()
    chains: dict[str, list[int]] = {}
    for chain, position in sent:
        chains.setdefault(chain, []).append(position)
    assert len(chains) > 1
    assert all(positions == [*range(1, len(positions) + 1)] for positions in chains.values())
    last = max(chains["00000000-0000-0000-0000-000000000000"])
    write(installation, 1)
    assert streamer.work()
    assert [position for _, position in kept.take()] == [last + 1]


def test_a_receiver_that_fails_gets_everything_later(installation: Installation) -> None:
    seconds, kept = [0.0], Kept()
    write(installation, 1)
    streamer = Streamer(installation.registry.user_db, kept, clock=lambda: seconds[0])
    kept.failure = NotSent("down")
    attempts: list[Any] = []
    for seconds[0] in range(8):
        streamer.work()
        attempts.append(kept.requests)
    assert attempts == [1, 2, 2, 3, 3, 3, 3, 4]  # after 1, 2 and 4 seconds
    kept.failure, seconds[0] = None, 100
    assert streamer.work()
    assert len(kept.take()) > 1


def test_what_a_killed_sender_has_sent_is_sent_again(installation: Installation, clock: Clock) -> None:
    write(installation, 1)
    kept = Kept()
    kept.failure = SystemExit()
    with pytest.raises(SystemExit):
        Streamer(installation.registry.user_db, kept).work()
    kept.failure = None
    other = Streamer(installation.registry.user_db, kept)
    assert not other.work()  # perhaps the other one is only slow
    clock.advance(seconds=61)
    assert other.work()
    assert len(kept.take()) > 1
    assert not other.work()
