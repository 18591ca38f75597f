"""Clients that write and read while faults happen, and note what they are told."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import Any, Final, NamedTuple

from tenantapp.identity import grants
from tenantapp.identity.errors import AlreadyExists, NotFound
from tenantapp.identity.tenants import get_tenant
from tenantapp.sql.errors import SqlError
from tenantapp.testing.checker import Append, Event, History, Outcome, Read, Revocation
from tests.chaos.worlds import World
from tests.installation import TENANTS
from tests.transactions.production import Page, connection_to

PAUSE: Final = 0.2  # seconds between two turns of a client: those who start again need the processor too
TIMEOUT: Final = 60.0  # seconds; a request waits for a database for ten, and for a process as long as it takes to start
AUTHOR, READER = "both", "rita"
LIST, SET = "list", "set"
# The errors that docs/api.md lets a client expect while a database or a process is away.
EXPECTED: Final = {
    (409, "conflict"),
    (412, "version_mismatch"),
    (503, "busy"),
    (503, "outcome_unknown"),
    (503, "overloaded"),
    (503, "service_unavailable"),
    (503, "tenant_unavailable"),
}
FORBIDDEN: Final = (403, "tenant_forbidden")
EXPIRED: Final = (401, "not_signed_in")


class Answer(NamedTuple):
    """Status, document and headers of an answer."""

    status: int
    document: Any
    headers: Any

    @property
    def code(self) -> str | None:
        """The code of a problem."""
        return self.document.get("code") if self.status >= 400 and isinstance(self.document, dict) else None

    @property
    def words(self) -> str:
        """Status, code and where to find it in the log."""
        return f"{self.status} {self.code or ''} (request {self.headers['X-Request-ID']})"

    @property
    def outcome(self) -> Outcome:
        """What it says about the change. After any error but ``outcome_unknown``, nothing was kept."""
        if self.status < 400:
            return Outcome.OK
        return Outcome.UNKNOWN if self.code == "outcome_unknown" else Outcome.FAILED

    def complaint(self, expected: Set[tuple[int, str]], may_be_forbidden: bool) -> str | None:
        """What is wrong with it, or None if the documentation promises such an answer."""
        if self.status < 300:
            return None
        said = (self.status, self.code)
        if said not in expected and not (may_be_forbidden and said == FORBIDDEN):
            return f"{self.status} {self.code}"
        if self.status == 503 and ("Retry-After" in self.headers) == (self.code == "outcome_unknown"):
            return f"503 {self.code}, Retry-After: {self.headers['Retry-After']}"
        return None


class Told:
    """What all clients of a scenario were told.

    ``expected`` are the errors that they may be told. ``silent`` says that a request may be without an answer.
    """

    def __init__(self, expected: Set[tuple[int, str]] = EXPECTED, *, silent: bool = True) -> None:
        self._lock = threading.Lock()
        self.expected, self.silent = expected, silent
        self.requests = 0
        self.outcomes = Counter[Outcome]()  # of writes
        self.unexpected = Counter[str]()
        self.answers: dict[str, str] = {}  # to each value that was written

    def count(self, complaint: str | None) -> None:
        """Count a request."""
        with self._lock:
            self.requests += 1
            if complaint is not None:
                self.unexpected[complaint] += 1

    def complain(self, words: str) -> None:
        """Count something that must not be, besides the answers."""
        with self._lock:
            self.unexpected[words] += 1

    def silence(self, words: str) -> str | None:
        """What is wrong with a request that had no answer, in these words, if anything is."""
        return None if self.silent else words

    def count_write(self, value: str, answer: Answer | Outcome) -> Outcome:
        """Count what became of the write of a value, and return it."""
        outcome, words = (answer, "no answer") if isinstance(answer, Outcome) else (answer.outcome, answer.words)
        with self._lock:
            self.outcomes[outcome] += 1
            self.answers[value] = words
        return outcome


class Root(NamedTuple):
    """What the clients of a scenario share in a tenant: a node whose text is a list, and whose children are a set."""

    tenant: str
    path: str
    children: str
    id: str


class Client(threading.Thread):
    """Does the same again and again until it is told to stop."""

    def __init__(self, crowd: "Notes", root: Root, name: str, person: str = AUTHOR) -> None:
        super().__init__(name=f"{name} in {root.tenant}", daemon=True)
        self.crowd, self.root, self.person = crowd, root, person
        self.moments: list[float] = []  # when it was last told that something was well
        self.number = 0

    def run(self) -> None:
        self.moments.append(time.monotonic())
        while not self.crowd.stop.wait(self.crowd.pause):
            self.step()

    def step(self) -> None:
        """Make one or two requests."""
        raise NotImplementedError

    def next_value(self) -> str:
        """Return a value that nobody else writes."""
        self.number += 1
        return f"{self.name.replace(' ', '-')}-{self.number}"

    def headers(self) -> dict[str, str]:
        """Return what every request has: who it is, and in which tenant."""
        return self.crowd.headers[self.person] | {"X-Tenant": self.root.tenant}

    def send(self, method: str, path: str, document: Any = None, tag: str | None = None) -> Answer | Outcome:
        """Return the answer, or what is known of the request if there was none. Bytes are sent as they are."""
        complaint = None
        try:
            answer = self._send(method, path, document, tag)
            complaint = answer.complaint(self.crowd.told.expected, self.person == READER)
        except ConnectionRefusedError:
            complaint = self.crowd.told.silence("connection refused")
            self.crowd.stop.wait(PAUSE)  # nobody is there yet
            return Outcome.FAILED  # nothing was sent
        except TimeoutError:
            complaint = f"no answer in {TIMEOUT:g} s"
            return Outcome.UNKNOWN
        except ValueError:
            complaint = "no JSON"
            return Outcome.UNKNOWN
        except (OSError, HTTPException) as error:
            complaint = self.crowd.told.silence(type(error).__name__)
            return Outcome.UNKNOWN
        finally:
            self.crowd.told.count(complaint)
        if answer.outcome == Outcome.OK:
            self.moments.append(time.monotonic())
        if answer.status == 503:
            self.crowd.stop.wait(PAUSE)  # as ``Retry-After`` says, though not for as long
        if (answer.status, answer.code) == EXPIRED:
            with suppress(AssertionError):  # a guest has no grant at present, and tries again
                self.crowd.sign_in(self.person)
        return answer

    def _send(self, method: str, path: str, document: Any, tag: str | None) -> Answer:
        connection = connection_to(self.crowd.world.server.port)
        connection.timeout = TIMEOUT
        headers = self.headers()
        if tag is not None:
            headers["If-Match"] = tag
        if isinstance(document, bytes):
            headers["Content-Type"] = "application/octet-stream"
        body = document if document is None or isinstance(document, bytes) else json.dumps(document)
        try:
            connection.request(method, f"/api/v1{path}", body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, document_of(answer), answer.headers)
        finally:
            connection.close()

    def write(self, key: str, value: str, send: Callable[[], Answer | Outcome]) -> None:
        """Note a request that writes this value; the answer to a change of the list is a read as well."""
        began = time.monotonic()
        answer = send()
        outcome = self.crowd.told.count_write(value, answer)
        read = (list_of(answer),) if key == LIST and isinstance(answer, Answer) and outcome == Outcome.OK else ()
        self.note(began, outcome, (Append(key, value),), read)

    def read(self, *, whole: bool = False) -> Answer | None:
        """Note what the list is, and with ``whole`` the set too; return the node of the list if it was read."""
        began = time.monotonic()
        answer = self.send("GET", self.root.path)
        if not isinstance(answer, Answer) or answer.outcome != Outcome.OK:
            return None
        self.note(began, Outcome.OK, (), (list_of(answer),))
        if whole:
            began = time.monotonic()
            if (values := self.all_children()) is not None:
                self.note(began, Outcome.OK, (), (Read(SET, tuple(values), is_set=True),))
        return answer

    def all_children(self) -> list[str] | None:
        """Return the titles of the set, page after page; None if one was not answered."""
        values: list[str] = []
        path = self.root.children
        while True:
            answer = self.send("GET", path)
            if not isinstance(answer, Answer) or answer.outcome != Outcome.OK:
                return None
            values += [node["title"] for node in answer.document["items"]]
            if answer.document["next"] is None:
                return values
            path = f"{self.root.children}&cursor={answer.document['next']}"

    def note(self, began: float, outcome: Outcome, appended: tuple[Append, ...], read: tuple[Read, ...]) -> None:
        """Add an event that ends now to the history."""
        self.crowd.history.add(Event(self.root.tenant, self.person, began, time.monotonic(), outcome, appended, read))


def document_of(answer: HTTPResponse) -> Any:
    """Return what a body says: a document, the bytes of a file, or None if there is no body."""
    content = answer.read()
    if answer.headers["Content-Type"] == "application/octet-stream":
        return content
    return json.loads(content) if content else None


def list_of(answer: Answer) -> Read:
    """Return the list that the node of an answer has."""
    return Read(LIST, tuple(answer.document["body"].split()))


class Appender(Client):
    """Appends to the list: reads it, and changes it if nobody else has."""

    def step(self) -> None:
        if (before := self.read()) is not None:
            value = self.next_value()
            document = {"body": f"{before.document['body']}{value} \n"}
            tag = before.headers["ETag"]
            self.write(LIST, value, lambda: self.send("PATCH", self.root.path, document, tag))


class Adder(Client):
    """Adds to the set."""

    def step(self) -> None:
        value = self.next_value()
        document = {"title": value, "parent_id": self.root.id}
        self.write(SET, value, lambda: self.send("POST", "/nodes", document))


class Reader(Client):
    """Reads both."""

    def step(self) -> None:
        self.read(whole=True)


class Revoker(threading.Thread):
    """Takes a reader's grant away and gives it back, as an operator does on the command line."""

    def __init__(self, crowd: "Crowd", tenant: str) -> None:
        super().__init__(name=f"revoker in {tenant}", daemon=True)
        self.crowd, self.tenant = crowd, tenant
        self.user_db = crowd.world.installation.registry.user_db

    def run(self) -> None:
        while not self.crowd.stop.wait(0.5):
            revoked = self.revoke()
            self.crowd.stop.wait(0.5)
            while self.crowd.world.guest_stays_out.is_set():
                if revoked is None:
                    revoked = self.revoke()
                self.crowd.stop.wait(0.1)
            began = time.monotonic()
            while not self.grant():
                time.sleep(0.2)
            if revoked is not None:
                self.crowd.history.revoked(Revocation(self.tenant, READER, revoked, began))

    def revoke(self) -> float | None:
        """Take the grant; return when it was acknowledged, and None if it was not."""
        try:
            with self.user_db.begin() as session:
                tenant = get_tenant(session, self.tenant).id
                grants.remove_grant(session, grants.find_grant(session, tenant, "reader", login=READER))
        except (NotFound, SqlError):
            return None
        return time.monotonic()

    def grant(self) -> bool:
        """Give the grant; whether they have it now."""
        try:
            with self.user_db.begin() as session:
                grants.add_grant(session, get_tenant(session, self.tenant).id, "reader", login=READER)
        except AlreadyExists:
            return True
        except SqlError:
            return False
        return True


class Notes:
    """What clients share: whom they ask, as whom, and what they note until they are to stop."""

    pause = PAUSE

    def __init__(self, world: World, told: Told, people: Sequence[str]) -> None:
        self.world, self.history, self.told = world, History(), told
        self.stop = threading.Event()
        self.pages: dict[str, Page] = {}
        self.headers: dict[str, dict[str, str]] = {}
        for person in people:
            self.sign_in(person)

    def sign_in(self, person: str) -> None:
        """Sign a person in, for all their clients. Raises ``AssertionError`` if that is refused."""
        self.pages[person] = page = Page(self.world.server, person)
        self.headers[person] = page.headers

    def root(self, tenant: str, title: str) -> Root:
        """Make a node in a tenant whose text and children are written. Raises ``AssertionError`` if that is refused."""
        status, node = self.pages[AUTHOR].send("POST", "/api/v1/nodes", {"title": title}, {"X-Tenant": tenant})
        assert status == 201, node
        return Root(tenant, f"/nodes/{node['id']}", f"/nodes?limit=500&parent_id={node['id']}", node["id"])


class Crowd(Notes):
    """All clients of a scenario, in some tenants at once, and what they note.

    ``pause`` is the time between two turns of a client, in seconds.
    """

    def __init__(self, world: World, name: str, tenants: Sequence[str] = TENANTS, pause: float = PAUSE) -> None:
        self.pause = pause
        # By the machine's own clock, a session ends when the clock is put forward.
        expires = world.clock is not None and not world.postgres
        super().__init__(world, Told(EXPECTED | {EXPIRED} if expires else EXPECTED), (AUTHOR, READER))
        roots = [self.root(tenant, name) for tenant in tenants]
        self.clients: list[Client] = []
        for root in roots:
            self.clients += [Appender(self, root, "one"), Appender(self, root, "two"), Adder(self, root, "adder")]
            self.clients += [Reader(self, root, "reader")]
        self.guest = Reader(self, roots[0], "guest", READER)
        self.revoker = Revoker(self, roots[0].tenant)

    @property
    def threads(self) -> list[threading.Thread]:
        """Everybody."""
        return [*self.clients, self.guest, self.revoker]

    def start(self) -> None:
        """Let everybody begin."""
        for each in self.threads:
            each.start()

    def served_since(self, moment: float) -> bool:
        """Whether each client was told since then that something was well."""
        return all(client.moments[-1] > moment for client in self.clients)

    def end(self) -> None:
        """Let everybody end, and read everything once more."""
        self.stop.set()
        for each in self.threads:
            each.join(2 * TIMEOUT)
            assert not each.is_alive(), f"{each.name} hangs"
        for client in self.clients:
            if isinstance(client, Reader):
                assert client.read(whole=True) is not None, f"{client.name} cannot read at the end"

    def outage(self) -> float:
        """Return the longest time in seconds that a client waited from one answer that was well to the next."""
        return max(
            later - earlier
            for client in self.clients
            for earlier, later in zip(client.moments, client.moments[1:], strict=False)
        )
