"""Clients that do what people do all day, besides those that the faults have."""

import random
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from tenantapp.testing.checker import Outcome
from tests.chaos.clients import AUTHOR, EXPECTED, Adder, Answer, Appender, Client, Notes, Reader, Root
from tests.chaos.worlds import World
from tests.installation import PASSWORD

# Two appenders write one list, and what is below a node may go while it is removed. There is no reason for any 503.
CONFLICTS: Final = frozenset({said for said in EXPECTED if said[0] != 503} | {(409, "node_has_children")})
CONTENT: Final = bytes(range(256)) * 800  # 200 KiB: more than the server keeps in memory


class Remains(NamedTuple):
    """A node that is no longer needed."""

    tenant: str
    id: str


class RememberingAdder(Adder):
    """Adds to the set, and knows the ids that it was told."""

    def __init__(self, crowd: Notes, root: Root, name: str) -> None:
        super().__init__(crowd, root, name)
        self.ids: list[str] = []

    def send(self, method: str, path: str, document: Any = None, tag: str | None = None) -> Answer | Outcome:
        answer = super().send(method, path, document, tag)
        if isinstance(answer, Answer) and answer.status == 201:
            self.ids.append(answer.document["id"])
        return answer


class Follower(Client):
    """Follows the changes of a tenant, as a client does that keeps a copy."""

    def __init__(self, crowd: Notes, root: Root, name: str) -> None:
        super().__init__(crowd, root, name)
        self.cursor: str | None = None
        self.seen: set[str] = set()
        self.step()

    def step(self) -> None:
        self.follow()

    def follow(self) -> bool:
        """Read the next changes; whether there are more."""
        since = "" if self.cursor is None else f"&since={self.cursor}"
        answer = self.send("GET", f"/changes?limit=100{since}")
        if not isinstance(answer, Answer) or answer.status != 200:
            return False
        self.cursor = answer.document["cursor"]
        self.seen |= {item["id"] for item in answer.document["items"]}
        return bool(answer.document["more"])


class Uploader(Client):
    """Uploads a file, reads it again and deletes it."""

    def step(self) -> None:
        uploaded = self.send("POST", "/files?name=all-bytes.bin", CONTENT)
        if isinstance(uploaded, Answer) and uploaded.status == 201:
            path = f"/files/{uploaded.document['id']}"
            read = self.send("GET", f"{path}/content")
            if not isinstance(read, Answer) or read.document != CONTENT:
                self.crowd.told.complain("a file is not what was uploaded")
            self.send("DELETE", path)


class Visitor(Client):
    """Signs in, looks where they are, and signs out. Uses no session of others."""

    def __init__(self, crowd: Notes, root: Root, name: str) -> None:
        super().__init__(crowd, root, name)
        self._headers = self.crowd.signed_out

    def headers(self) -> dict[str, str]:
        return dict(self._headers)

    def step(self) -> None:
        self._headers = self.crowd.signed_out
        answer = self.send("POST", "/session", {"login": AUTHOR, "password": PASSWORD, "tenant": self.root.tenant})
        if isinstance(answer, Answer) and answer.status == 201:
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
            self._headers = self._headers | {"Cookie": cookie, "X-CSRF-Token": answer.document["csrf_token"]}
            self.send("GET", "/session")
            self.send("DELETE", "/session")


class Remover(Client):
    """Deletes what earlier windows have left, so that databases do not grow."""

    def step(self) -> None:
        try:
            remains = self.crowd.remains.popleft()
        except IndexError:
            return
        self.root = self.root._replace(tenant=remains.tenant)
        answer = self.send("DELETE", f"/nodes/{remains.id}")
        if isinstance(answer, Answer) and answer.code == "node_has_children":
            self.crowd.remains.append(remains)


class Window(Notes):
    """A while of ordinary work in all tenants, with a history of its own that is checked at its end."""

    def __init__(self, world: World, told: Any, slugs: tuple[str, ...], remains: deque[Remains]) -> None:
        super().__init__(world, told, (AUTHOR,))
        told.count(None)  # the sign-in
        self.remains, self.lock = remains, threading.Lock()
        self.signed_out = {"Content-Type": "application/json", "X-Forwarded-Proto": "https"}
        self.roots = [self.root(slug, "window") for slug in slugs]
        for _ in self.roots:
            told.count(None)
        self.followers = [Follower(self, root, "follower") for root in self.roots]
        self.adders = [RememberingAdder(self, root, "adder") for root in self.roots]
        self.readers = [Reader(self, root, "reader") for root in self.roots]
        self.idle: list[Client] = [*self.followers, *self.adders, *self.readers]
        for root in self.roots:
            self.idle += [Appender(self, root, "one"), Appender(self, root, "two"), Remover(self, root, "remover")]
        # The first third of the tenants is busier.
        for root in self.roots[: len(self.roots) // 3]:
            self.idle += [Uploader(self, root, "uploader"), Visitor(self, root, "visitor")]

    @contextmanager
    def turn(self) -> Iterator[Client]:
        """Lend a client that nobody else lets work."""
        with self.lock:
            client = self.idle.pop(random.randrange(len(self.idle)))
        try:
            yield client
        finally:
            with self.lock:
                self.idle.append(client)

    def findings(self) -> list[str]:
        """Read everything once more, and return what must never happen and has. What was made may go then."""
        for reader in self.readers:
            reader.read(whole=True)
        found = [f"{finding.anomaly}: {finding.words}" for finding in self.history.findings()]
        for adder, follower in zip(self.adders, self.followers, strict=True):
            while follower.follow():
                pass
            if missing := set(adder.ids) - follower.seen:
                found.append(f"{len(missing)} acknowledged nodes of {follower.root.tenant} are not among the changes")
            self.remains.extend(Remains(adder.root.tenant, each) for each in adder.ids)
        self.remains.extend(Remains(root.tenant, root.id) for root in self.roots)
        return found
