"""Moving a tenant of 1 GiB to another PostgreSQL server by logical replication while somebody goes on writing."""

import json
import statistics
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import Bench
from benchmarks.contenders.contender import Broken, fetch
from benchmarks.contenders.ours import SESSION
from benchmarks.deployment import INI, Deployment, deploy, text_of
from benchmarks.load import http_request
from benchmarks.load.generator import Connection
from benchmarks.postgres import Postgres, running_postgres
from benchmarks.report import Column, Report, Target

COLUMNS = (
    Column("title", "move"),
    Column("mib", "MiB", ",.0f"),
    Column("seconds", "whole move s", ".1f"),
    Column("refused_s", "no write accepted for s", ".2f"),
    Column("refused", "writes refused", ",d"),
    Column("written", "writes accepted meanwhile", ",d"),
)
SIZE: Final = 2**30  # bytes
ROWS: Final = 50_000  # filled in at once
PAUSE: Final = 0.02  # seconds between two writes
SLUG: Final = "t0"
# Just short enough to be stored as it is, in the row itself.
FILL: Final = """
INSERT INTO nodes (id, parent_id, owner_id, title, body, status, version, created_at, updated_at)
SELECT gen_random_uuid(), NULL, owner_id, title || ' ' || number, (
    SELECT string_agg(md5(random()::text || number || part), '') FROM generate_series(1, 55) AS part
), status, version, created_at, updated_at
FROM (SELECT * FROM nodes LIMIT 1), generate_series(1, %s) AS number
"""
NOTE: Final = (
    "How long no write was accepted is the longest time between two PATCH requests, one after the other on a kept "
    "connection, that were answered 200. The last of them has to be in the new database."
)


def move(bench: Bench) -> Report:
    """From one server to the other and back; in every round the tenant is where the round before has left it."""
    with (
        running_postgres(bench.directory, wal_level="logical") as main,
        running_postgres(bench.directory, wal_level="logical") as other,
    ):
        servers = {"main": main, "other": other}
        deployment = deploy("postgresql", bench.directory / "move", main, [SLUG])
        deployment.settings["servers.other"] = text_of(other.url.set(database=""))
        mib = _fill(main, deployment.places[SLUG].database) / 2**20
        with deployment.serving(bench.directory, name="move") as server:
            moves = []
            for number in range(bench.rounds):
                bench.say(f"moving {mib:,.0f} MiB")
                target = "main" if number % 2 else "other"
                moves.append(_moved(deployment, server.port, target, servers[target]))
    refused = [round(found.longest, 2) for found in moves]
    row = {
        "title": "by replication, medians",
        "mib": mib,
        "seconds": statistics.median(found.seconds for found in moves),
        "refused_s": statistics.median(refused),
        "each_refused_s": refused,
        "refused": round(statistics.median(found.refused for found in moves)),
        "written": round(statistics.median(len(found.accepted) for found in moves)),
    }
    target_of = Target("no write accepted, the longest of all moves", 2.0, max(refused), " s", at_most=True)
    return Report("Moving a tenant to another server", COLUMNS, [row], [target_of], [NOTE])


def _fill(postgres: Postgres, database: str) -> int:
    """Add nodes until the database is large enough; how large it is then."""
    connection = postgres.connect(database)
    try:
        with connection.cursor() as cursor:
            size = 0
            while size < SIZE:
                cursor.execute(FILL, [ROWS])
                cursor.execute("SELECT pg_database_size(current_database())")
                ((size,),) = cursor.fetchall()
            cursor.execute("VACUUM ANALYZE")
        return int(size)
    finally:
        connection.close()


@dataclass
class _Writer:
    """Changes one node over and over, and remembers when that was accepted."""

    port: int
    node: str
    headers: dict[str, str]
    accepted: list[float] = field(default_factory=list)
    refused: int = 0
    body: str = ""
    seconds: float = 0.0
    wrong: str | None = None

    def run(self, ended: threading.Event) -> None:
        """Until the event."""
        connection, number = Connection(self.port), 0
        while not ended.is_set():
            number += 1
            body = f"written {number} {time.time()}"
            change = json.dumps({"body": body}).encode()
            connection.send(http_request("PATCH", f"/api/v1/nodes/{self.node}", self.headers, change))
            while (answer := connection.read()) is None:
                pass
            status = answer[9:12]
            if status == b"200":
                self.accepted.append(time.perf_counter())
                self.body = body
            elif status == b"503":
                self.refused += 1
            else:
                self.wrong = answer[:300].decode(errors="replace")
                return
            if b"connection: close" in answer.lower():
                with suppress(OSError):
                    connection.socket.close()
                connection = Connection(self.port)
            ended.wait(PAUSE)
        connection.socket.close()

    @property
    def longest(self) -> float:
        """The longest time between two that were accepted."""
        pairs = zip(self.accepted, self.accepted[1:], strict=False)
        return max((after - before for before, after in pairs), default=float("inf"))


def _moved(deployment: Deployment, port: int, target: str, postgres: Postgres) -> _Writer:
    headers = deployment.headers(SLUG)
    token = json.loads(fetch(port, SESSION, headers)[1])["csrf_token"]
    (node,) = json.loads(fetch(port, "/api/v1/nodes?limit=1", headers)[1])["items"]
    writer = _Writer(port, node["id"], headers | {"X-CSRF-Token": token, "Content-Type": "application/json"})
    ended = threading.Event()
    thread = threading.Thread(target=writer.run, args=[ended])
    thread.start()
    time.sleep(1)
    try:
        started = time.perf_counter()
        result = _command(deployment, "tenants", "move", SLUG, "--server", target, "--json")
        writer.seconds = time.perf_counter() - started
        time.sleep(1)
    finally:
        ended.set()
        thread.join()
    if writer.wrong is not None or writer.longest == float("inf"):
        raise Broken(f"a write was answered {writer.wrong}")
    if result["method"] != "replication":
        raise Broken(f"it was moved by {result['method']}: {result['not_replicated']}")
    connection = postgres.connect(result["database"])
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT body FROM nodes WHERE id = %s", [node["id"]])
            if cursor.fetchall() != [(writer.body,)]:
                raise Broken("the last write that was accepted is not where the tenant is now")
    finally:
        connection.close()
    return writer


def _command(deployment: Deployment, *words: str) -> Any:
    """Run a command of tenantapp to its end; the JSON that it printed."""
    command = [str(Path(sys.executable).with_name("tenantapp")), "--ini", str(INI), *words]
    environment = {"PATH": "/usr/bin:/bin", **deployment.environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(f"{' '.join(words)}: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)
