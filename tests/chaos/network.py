"""A network whose parts can be cut: each machine of a cluster is a network namespace on a bridge."""

import os
import random
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Final, NamedTuple

NOWHERE: Final = "02:00:00:00:00:ff"  # an Ethernet address that nobody has
TEST: Final = "test"  # the machine of the test and of tenantapp
TEST_HOST: Final = 254


class Place(NamedTuple):
    """A machine: its address, and what a command begins with to run there."""

    name: str
    address: str
    inside: tuple[str, ...] = ()


class Network:
    """All machines are this one, and nothing can be cut."""

    subnet = "127.0.0.1/32"
    can_be_cut = False

    def place(self, name: str) -> Place:
        """Return a new machine."""
        return Place(name, "127.0.0.1")

    @contextmanager
    def cut(self, senders: Iterable[str], receivers: Iterable[str], *, one_way: bool = False) -> Iterator[None]:
        """Lose every packet between these machines, without a word to either; ``one_way``: those of the senders."""
        raise NotImplementedError
        yield

    def remove(self) -> None:
        """Take everything away again."""


class Namespaces(Network):
    """Each machine has a namespace of its own, and all are on a bridge; the machine of the test is on it as well.

    A cut gives the sender an Ethernet address of the receiver that nobody has: the packets are lost in this direction,
    and connections stay open, as when a switch fails.
    """

    can_be_cut = True

    def __init__(self) -> None:
        self._prefix = f"ta{os.getpid()}"
        self._network = f"198.18.{random.randint(0, 255)}"  # for tests of networks, RFC 2544
        self.subnet = f"{self._network}.0/24"
        self._places = {TEST: Place(TEST, f"{self._network}.{TEST_HOST}")}
        for what in ("add", "delete"):
            _ip("netns", what, self._prefix)  # may it?
        _ip("link", "add", self._prefix, "type", "bridge")
        _ip("address", "add", f"{self._network}.{TEST_HOST}/24", "dev", self._prefix)
        _ip("link", "set", self._prefix, "up")

    def place(self, name: str) -> Place:
        """Return a new machine."""
        number = len(self._places)
        namespace, cable, address = f"{self._prefix}-{name}", f"{self._prefix}v{number}", f"{self._network}.{number}"
        self._places[name] = Place(name, address, ("ip", "netns", "exec", namespace))
        _ip("netns", "add", namespace)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("link", "set", cable, "master", self._prefix, "up")
        _ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", namespace, "link", "set", device, "up")
        return self._places[name]

    @contextmanager
    def cut(self, senders: Iterable[str], receivers: Iterable[str], *, one_way: bool = False) -> Iterator[None]:
        """Lose every packet between these machines, without a word to either; ``one_way``: those of the senders."""
        ways = [(sender, receiver) for sender in senders for receiver in receivers]
        if not one_way:
            ways = list(chain.from_iterable((way, way[::-1]) for way in ways))
        try:
            for sender, receiver in ways:
                self._neighbour(sender, "replace", receiver, "lladdr", NOWHERE, "nud", "permanent")
            yield
        finally:
            for sender, receiver in ways:
                self._neighbour(sender, "delete", receiver)

    def _neighbour(self, sender: str, what: str, receiver: str, *words: str) -> None:
        where = () if sender == TEST else ("-n", f"{self._prefix}-{sender}")
        device = self._prefix if sender == TEST else "eth0"
        _ip(*where, "neighbour", what, self._places[receiver].address, *words, "dev", device)

    def remove(self) -> None:
        """Take everything away again; the cables go with the namespaces."""
        for name in self._places.keys() - {TEST}:
            _ip("netns", "delete", f"{self._prefix}-{name}")
        _ip("link", "delete", self._prefix)


@contextmanager
def network() -> Iterator[Network]:
    """A network of namespaces if this user may make them, else this machine alone."""
    try:
        found: Network = Namespaces()
    except (OSError, subprocess.CalledProcessError):
        found = Network()
    try:
        yield found
    finally:
        found.remove()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
