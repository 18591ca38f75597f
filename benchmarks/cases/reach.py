"""What a tenant of 100,000 nodes costs: lists, filters, orders, searches and changes, at the first and a deep page."""

import io
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson
from tenantapp import main
from tenantapp.resources.cursors import decode_cursor, encode_cursor
from tenantapp.settings import read_settings
from tenantapp.tenancy.servers import Servers

from benchmarks.bench import Bench
from benchmarks.deployment import ENGINES, Deployment, EngineName, deploy
from benchmarks.many_nodes import MANY, fill_tenant
from benchmarks.plans import Statements, plan_of
from benchmarks.report import Column, Report, Target

DEEP: Final = 50
PER_ROUND: Final = 7  # requests
COLUMNS: Final = (
    Column("title", "request"),
    Column("first_ms", "first page ms", ".2f"),
    Column("deep_ms", "deep page ms", ".2f"),
    Column("page", "deep page", ",d"),
    Column("statements", "statements", ",d"),
    Column("plan", "plan of the deep page"),
)
NODES: Final = "/api/v1/nodes"
CHANGES: Final = "/api/v1/changes"


def reach(bench: Bench) -> Report:
    """Measure both engines in one process, without a network."""
    return report([row for engine in ENGINES for row in _rows(bench, engine)], bench.rounds)


def report(rows: list[dict[str, Any]], rounds: int) -> Report:
    """Return the table of what was measured in so many rounds."""
    worst = max(max(row["first_ms"], row["deep_ms"]) for row in rows)
    targets = [Target("the slowest page", 10.0, worst, " ms", at_most=True)]
    notes = [
        "In the server, with the look-up of the web session, which is one of the statements. The fastest of "
        f"{PER_ROUND * rounds} requests, spread over the whole run, because the machine had other work too. The plan "
        "is that of the other statements: the indexes they use, full scans, and sorts of many rows."
    ]
    return Report(f"A tenant of {MANY:,} nodes, pages of 50", COLUMNS, rows, targets, notes)


def requests(ids: dict[str, str]) -> dict[str, tuple[str, dict[str, str]]]:
    """Return path and query of all that is asked, by its title. The shares are those of ``benchmarks.many_nodes``."""
    lists: dict[str, dict[str, str]] = {
        "list": {},
        "status, 60 %": {"status": "draft"},
        "status, 10 %": {"status": "archived"},
        "owner_id, 5 %": {"owner_id": ids["owner"]},
        "tag, 30 %": {"tag": "common"},
        "tag, 3 %": {"tag": "seldom"},
        "tag, 0.1 %": {"tag": "odd"},
        "parent_id, 5 %": {"parent_id": ids["parent"]},
        "parent_id=root": {"parent_id": "root"},
        "_sort=title": {"_sort": "title"},
        "_sort=-updated_at": {"_sort": "-updated_at"},
        "_sort=title,-updated_at": {"_sort": "title,-updated_at"},
        "status 10 %, _sort=title": {"status": "archived", "_sort": "title"},
        "owner_id 5 %, _sort=-updated_at": {"owner_id": ids["owner"], "_sort": "-updated_at"},
        "tag 3 %, _sort=title": {"tag": "seldom", "_sort": "title"},
        "tag 30 %, _sort=title": {"tag": "common", "_sort": "title"},
        "tag 0.1 %, _sort=title": {"tag": "odd", "_sort": "title"},
        "tag 3 %, owner_id 5 %": {"tag": "seldom", "owner_id": ids["owner"]},
        "in_status 70 %, _sort=-title": {"in_status": "draft,archived", "_sort": "-title"},
        "not_status 40 %, _sort=-id": {"not_status": "draft", "_sort": "-id"},
        "has_parent_id 99 %, _sort=title": {"has_parent_id": "true", "_sort": "title"},
        "min_updated_at 42 %": {"min_updated_at": "2026-01-02T00:00:00Z"},
        "min_updated_at 0.2 %, _sort=title": {"min_updated_at": "2026-01-03T06:00:00Z", "_sort": "title"},
        "q, 0.1 %": {"q": "zeppelin"},
        "q, 3 %": {"q": "harbour"},
        "q, 30 %": {"q": "invoice"},
        "q, 30 % and 10 %": {"q": "invoice budget"},
        "q, 30 % and 0.1 %": {"q": "invoice zeppelin"},
        "q, 30 %, status 10 %": {"q": "invoice", "status": "archived"},
        "q, 30 %, _sort=title": {"q": "invoice", "_sort": "title"},
        "q, 0.1 %, _sort=title": {"q": "zeppelin", "_sort": "title"},
        "q, a beginning of 76 %": {"q": "i"},
        "q, no row": {"q": "nowhere"},
        "q, 30 %, tag 0.1 %": {"q": "invoice", "tag": "odd"},
        "_or, 10 % or 5 %": {"_or": f"status=archived,owner_id={ids['owner']}"},
        "_or, 10 % or tag 3 %": {"_or": "status=archived,tag=seldom"},
        "_or, 10 % or 5 %, _sort=title": {"_or": f"status=archived,owner_id={ids['owner']}", "_sort": "title"},
    }
    return {title: (NODES, query) for title, query in lists.items()} | {"changes": (CHANGES, {})}


def _rows(bench: Bench, engine: EngineName) -> Iterator[dict[str, Any]]:
    bench.say(f"filling a tenant of {MANY:,} nodes on {engine}")
    directory = Path(tempfile.mkdtemp(dir=bench.directory))
    deployment = deploy(engine, directory, bench.postgres, ["t0"])
    place = deployment.places["t0"]
    settings = read_settings(deployment.settings, {})
    ids = fill_tenant(Servers.of(settings)[place.server].tenant_url(place.database))
    with Statements().listening() as statements:
        yield from measured(engine, Client(deployment), statements, ids, bench.rounds)


def measured(
    engine: EngineName, client: "Client", statements: Statements, ids: dict[str, str], rounds: int
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each request. The rounds are of all requests, so that each is measured at several times."""
    asked = {
        title: (path, _parts(client) if path == CHANGES else _pages(client, query))
        for title, (path, query) in requests(ids).items()
    }
    fastest: dict[tuple[str, str], float] = {}
    for _ in range(rounds):
        for path, (first, deep, _) in asked.values():
            for each in {first, deep}:
                times = [client.milliseconds(path, each) for _ in range(PER_ROUND)]
                fastest[path, each] = min(*times, fastest.get((path, each), times[0]))
    for title, (path, (first, deep, page)) in asked.items():
        with statements.recording() as sent:
            client.get(path, deep)
        plan = plan_of(sent)
        yield {
            "title": f"{engine}: {title}",
            "first_ms": fastest[path, first],
            "deep_ms": fastest[path, deep],
            "page": page,
            "statements": plan.statements,
            "plan": plan.text(),
        }


def _pages(client: "Client", query: dict[str, str]) -> tuple[str, str, int]:
    """Return the query of the first page, of the 50th or else the last page, and its number."""
    first = deep = urlencode({**query, "limit": "50"})
    for page in range(1, DEEP):
        cursor = client.get(NODES, deep)["next"]
        if cursor is None:
            return first, deep, page
        deep = f"{first}&cursor={quote(cursor)}"
    return first, deep, DEEP


def _parts(client: "Client") -> tuple[str, str, int]:
    """Return the same for the changes: the first part is that of a client that knows the oldest one."""
    epoch, _ = decode_cursor("changes", client.get(CHANGES, "")["cursor"])
    first = deep = f"limit=50&since={quote(encode_cursor('changes', [epoch, 0]))}"
    for _ in range(1, DEEP):
        deep = f"limit=50&since={quote(client.get(CHANGES, deep)['cursor'])}"
    return first, deep, DEEP


class Client:
    """A signed-in person who asks a tenantapp in this process."""

    def __init__(self, deployment: Deployment) -> None:
        self._app = main({}, **deployment.settings)
        self._headers = deployment.headers("t0")

    def milliseconds(self, path: str, query: str) -> float:
        """Return how long a request takes."""
        started = time.perf_counter()
        self._ask(path, query)
        return 1000 * (time.perf_counter() - started)

    def get(self, path: str, query: str) -> Any:
        """Return the answer, from its JSON."""
        return orjson.loads(self._ask(path, query))

    def _ask(self, path: str, query: str) -> bytes:
        statuses: list[str] = []
        answer = self._app(self._environ(path, query), lambda status, headers, error=None: statuses.append(status))
        try:
            body = b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
        if not statuses[0].startswith("200"):
            raise RuntimeError(f"{path}?{query}: {statuses[0]}")
        return body

    def _environ(self, path: str, query: str) -> dict[str, Any]:
        return {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SCRIPT_NAME": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "localhost",
            "HTTP_COOKIE": self._headers["Cookie"],
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
