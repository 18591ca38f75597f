"""What every contender can do: prepare its data, serve it, and answer right."""

import http.client
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import http_request
from benchmarks.nodes import PAGE, TENANTS, title_of
from benchmarks.postgres import Postgres
from benchmarks.processes import Running, free_port, serving


class Broken(Exception):
    """A contender cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A contender with its data: how to start it, and how to ask it.

    ``headers`` are those of a signed-in person who may read the first tenant, ``stranger`` those of one who may not.
    """

    command: tuple[str, ...]
    cwd: Path
    log: Path
    path: str
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    stranger: Mapping[str, str] | None = None

    @property
    def request(self) -> bytes:
        """The request that is measured."""
        return http_request("GET", self.path, self.headers)

    @contextmanager
    def serving(self) -> Iterator[Running]:
        """Serve it. Raises ``DidNotStart``."""
        port = free_port()
        command = [part.replace("{port}", str(port)) for part in self.command]
        with serving(command, port, log=self.log, cwd=self.cwd, environment=self.environment) as running:
            yield running


@dataclass(frozen=True)
class Contender(ABC):
    """A program that serves the nodes; or does not, and only marks what its framework costs."""

    name: str
    title: str
    lists_nodes: bool = field(default=True, kw_only=True)

    @abstractmethod
    def prepare(self, postgres: Postgres, directory: Path) -> Prepared:
        """Make its databases and fill them; files go to the directory. Raises ``Broken``."""

    def check(self, prepared: Prepared, port: int) -> None:
        """Whether it answers right, and only those who may ask. Raises ``Broken``."""
        status, body = fetch(port, prepared.path, prepared.headers)
        if status != 200:
            raise Broken(f"answers {status}: {body[:200]!r}")
        if not self.lists_nodes:
            return
        check_page(body, TENANTS[0])
        host = {name: value for name, value in prepared.headers.items() if name == "Host"}
        for who, headers in (("nobody", host), ("a stranger", prepared.stranger or {})):
            if (status := fetch(port, prepared.path, headers)[0]) not in (401, 403):
                raise Broken(f"answers {status} to {who}")


def check_page(body: bytes, tenant: str) -> None:
    """Whether these are the first nodes of this tenant, by key. Raises ``Broken``."""
    items = next((member for member in json.loads(body).values() if isinstance(member, list)), [])
    titles = [item["title"] for item in items]
    if titles != [title_of(tenant, number) for number in range(PAGE)]:
        raise Broken(f"not the first {PAGE} nodes of {tenant}: {len(titles)} nodes, beginning with {titles[:2]}")


def fetch(port: int, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Ask once. Status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
