"""production.ini as it is deployed: several processes, reloaded and stopped under load, and what a proxy says."""

import gzip
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.engine import URL

from tenantapp.sql.times import utcnow
from tenantapp.usage.models import Databases, TenantUsage
from tenantapp.usage.processes import list_processes
from tenantapp.usage.reading import period_of
from tenantapp.usage.statement_reading import list_statements
from tests.collectors import collector
from tests.installation import Installation, postgres_installation, sqlite_installation
from tests.nginx import nginx_before
from tests.ports import free_port
from tests.slow_databases import backends, stopped
from tests.transactions.applications import node_titles
from tests.transactions.production import (
    COOKIE,
    PSERVE,
    START_TIMEOUT,
    Page,
    Production,
    environment,
    production,
    wait_for,
)
from tests.transactions.server import exchange, send
from tests.transactions.visitors import visit_during

CLIENTS = 6
RELOADS = 2  # the second replaces workers that a reload has started


@pytest.fixture
def files(tmp_path: Path) -> Any:
    """An installation on SQLite with people in it: for what has nothing to do with the engine."""
    (tmp_path / "databases").mkdir()
    with sqlite_installation(tmp_path / "databases") as installation:
        yield installation


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """One worker on SQLite, for all the tests that change nothing about it."""
    directory = tmp_path_factory.mktemp("served")
    (directory / "databases").mkdir()
    with (
        sqlite_installation(directory / "databases") as files,
        production(directory, files, workers=1, checked=True) as server,
    ):
        yield server


def visit_during_reloads(server: Production, pages: list[Page]) -> list[str]:
    """Let people write and read on these pages while all workers change, twice; returns what was acknowledged."""
    return visit_during(server, pages, lambda: [server.reload() for _ in range(RELOADS)])


def test_reloads_lose_no_request(
    real_installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request is answered, every acknowledged write is there, none is done twice: while all workers change.

    What the tenant has used is added up by those that stop, and their last spans are sent. Nobody but a proxy that is
    trusted for it can say that a request is not traced.
    """
    real_installation.settings["usage.keep"] = "90"
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "50000")  # a slow machine drops none
    with ExitStack() as stack:
        real_installation.settings["opentelemetry.endpoint"], received = stack.enter_context(collector())
        real_installation.settings["opentelemetry.sample"] = "1"
        server = stack.enter_context(production(tmp_path, real_installation, checked=True))
        pages = [Page(server, "bob", kept=number % 2 == 0) for number in range(CLIENTS)]
        for page in pages:
            page.headers["traceparent"] = f"00-{'a' * 32}-{'b' * 16}-00"
        written = visit_during_reloads(server, pages)
        posted = {"route": "nodes", "method": "POST", "status": "201"}
        # Of all processes, those that have ended too. Each writes down what it has counted twice a second.
        wait_for(lambda: server.metrics().of("tenantapp_requests_total", posted) == len(written))
        assert server.metrics().of("tenantapp_processes", {}) == len(server.workers())
        with real_installation.registry.user_db.begin(read_only=True) as session:
            reported = list_processes(session)
        assert {process["process"] for process in reported} == server.workers(), "those that stop withdraw their report"
        assert {each["server"] for process in reported for each in process["connections"]} == {None, "main"}
        # One more than there are workers: that is how many there were at once.
        assert len(list((tmp_path / "metrics").glob("counter_*.db"))) == len(server.workers()) + 1
        assert server.stop() == 0
    posts = received.named("POST /api/v1/nodes")
    assert len({span.trace_id for _, span in posts}) == len(written)
    assert len({process for process, _ in posts}) > 2, "each process sends its own"
    assert {bytes(span.parent_span_id) for _, span in received.named("COMMIT")} >= {span.span_id for _, span in posts}
    assert Counter(node_titles(real_installation)) == Counter(written)
    assert len([line for line in server.log() if line.get("method") == "POST"]) == len(written) + CLIENTS
    requests = [line for line in server.log() if line.get("path") == "/api/v1/nodes"]
    with real_installation.registry.user_db.begin(read_only=True) as session:
        (used,) = session.scalars(select(TenantUsage)).all()
        assert (used.slug, used.requests) == ("acme", len(requests))
        # A node and its words; and its author, whom each of the first clients may write.
        assert 2 * len(written) < used.rows_written <= 2 * len(written) + CLIENTS
        period = period_of(utcnow() - timedelta(hours=1))
        calls = {each.text: each.calls for each in list_statements(session, period, database=Databases.TENANTS)}
        assert sum(number for text, number in calls.items() if text.startswith("INSERT INTO nodes ")) == len(written)
    assert (tmp_path / "stderr").read_text() == f"Starting server in PID {server.process.pid}.\n"


def test_reloads_lose_no_request_on_connections_that_a_proxy_keeps(files: Installation, tmp_path: Path) -> None:
    port = free_port()
    with production(tmp_path, files, workers=1, keepalive=5) as server, nginx_before(server.port, port, tmp_path):
        wait_for(lambda: server.answers(port))
        assert len({server.about(port)["port"] for _ in range(5)}) == 1, "nginx opens a connection for each request"
        written = visit_during_reloads(server, [Page(server, "bob", kept=True, port=port) for _ in range(CLIENTS)])
        assert server.stop() == 0
    assert Counter(node_titles(files)) == Counter(written)


def test_a_restart_refuses_nobody_while_systemd_has_the_socket(files: Installation, tmp_path: Path) -> None:
    def restart() -> None:
        assert server.stop() == 0
        server.start()

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        server = Production(tmp_path, files, workers=1, activated=listening)
        server.start()
        try:
            before = server.process.pid
            written = visit_during(server, [Page(server, "bob", kept=False) for _ in range(2)], restart)
            assert server.process.pid != before
        finally:
            server.stop()
    assert Counter(node_titles(files)) == Counter(written)


def test_a_change_succeeds_with_the_tag_of_an_answer_that_nginx_has_compressed(
    served: Production, tmp_path: Path
) -> None:
    port = free_port()
    with nginx_before(served.port, port, tmp_path, compresses=True):
        wait_for(lambda: served.answers(port))
        page = Page(served, "bob", kept=True, port=port)
        path = f"/api/v1/nodes/{page.send('POST', '/api/v1/nodes', {'title': '1'})[1]['id']}"

        def read(**headers: str) -> tuple[HTTPResponse, bytes]:
            page.connection.request("GET", path, headers=page.headers | {"Accept-Encoding": "gzip"} | headers)
            answer = page.connection.getresponse()
            return answer, answer.read()

        received, body = read()
        assert json.loads(gzip.decompress(body))["title"] == "1"
        tag = received.headers["ETag"]
        assert tag.startswith('W/"')
        assert received.headers["Cache-Control"] == "private, no-cache, no-transform"
        assert read(**{"If-None-Match": tag})[0].status == 304
        page.headers["If-Match"] = tag
        assert page.send("PATCH", path, {"title": "2"})[0] == 200
        assert page.send("PATCH", path, {"title": "3"})[0] == 412
        page.connection.close()


def test_connections_are_kept_while_there_are_no_more_requests_than_threads(
    files: Installation, tmp_path: Path
) -> None:
    with production(tmp_path, files, workers=1, keepalive=75) as server, ExitStack() as stack:
        kept = [stack.enter_context(closing(server.connection())) for _ in range(9)]
        assert not any(closes(connection) for connection in kept)
        for connection in kept:
            connection.request("GET", "/x/held")
        wait_for(lambda: len(list(tmp_path.glob("held-*"))) == 4)
        answer = server.get("/__lbheartbeat__", port=server.metrics_port)
        assert answer.status == 200, "all threads of the application are busy"
        (tmp_path / "go_on").touch()
        assert {answer.will_close for answer in answers_of(kept)} == {True, False}
        with closing(server.connection()) as another:
            assert not closes(another)


def closes(connection: HTTPConnection) -> bool:
    """Whether the answer to a small request closes its connection."""
    connection.request("GET", "/__lbheartbeat__")
    (answer,) = answers_of([connection])
    return answer.will_close


def answers_of(connections: list[HTTPConnection]) -> list[HTTPResponse]:
    """The answers that come on these connections, each read."""
    answers = [connection.getresponse() for connection in connections]
    for answer in answers:
        answer.read()
        assert answer.status == 200
    return answers


def test_a_reload_brings_new_code_and_settings(files: Installation, tmp_path: Path) -> None:
    with production(tmp_path, files, workers=1, checked=True) as server:
        assert (server.about()["version"], server.about()["budget"]) == ("one", 1024)
        server.domain.write_text(server.domain.read_text().replace('"one"', '"the second"'))
        ini = server.ini.read_text().replace(
            "use = egg:tenantapp\n", "use = egg:tenantapp\nconnections.budget = 9\n", 1
        )
        server.ini.write_text(ini)
        server.reload()
        assert (server.about()["version"], server.about()["budget"]) == ("the second", 9)


def test_a_reload_that_cannot_work_changes_nothing(files: Installation, tmp_path: Path) -> None:
    """A wrong option, a wrong setting, code that cannot be imported: one after the other, in the same server."""

    def reload(path: Path, old: str, new: str, said: str, ended: str) -> None:
        good = path.read_text()
        assert old in good
        path.write_text(good.replace(old, new, 1))
        given_up = len([line for line in server.log() if ended in line["message"]])
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: said in (tmp_path / "stdout").read_text())
        wait_for(lambda: len([line for line in server.log() if ended in line["message"]]) > given_up)
        assert server.workers() == before
        assert server.about()["process"] in before
        path.write_text(good)

    def starts() -> int:
        return len([line for line in server.log() if line["message"].startswith("Booting worker")])

    with production(tmp_path, files) as server:
        before, use = server.workers(), "use = egg:tenantapp\n"
        reload(server.ini, "threads = 4", "threads = none", "server.threads must be", "Not reloaded")
        assert starts() == 2
        reload(server.ini, use, f"{use}no.such = x\n", "setting no.such is unknown", "given up")
        reload(server.domain, "import os\n", "import no_such_module\n", "No module named", "given up")
        time.sleep(2.5)
        assert starts() == 4, "each is tried once, not again and again"
        assert server.workers() == before
        assert server.stop() == 0


def in_flight(server: Production, page: Page) -> tuple[threading.Thread, list[Any]]:
    """A request that has written and not ended."""
    answers: list[Any] = []

    def post() -> None:
        try:
            answers.append(page.send("POST", "/x/slow", {}))
        except OSError as error:
            answers.append(error)

    thread = threading.Thread(target=post)
    thread.start()
    wait_for((server.directory / "started").exists)
    return thread, answers


@pytest.mark.parametrize("by", ["stop", "reload"])
def test_a_request_in_flight_ends_before_its_worker(real_installation: Installation, tmp_path: Path, by: str) -> None:
    with production(tmp_path, real_installation, workers=1) as server:
        page = Page(server, "bob")
        page.send("POST", "/api/v1/nodes", {"title": "quick"})
        before = server.workers()
        thread, answers = in_flight(server, page)
        server.process.send_signal(signal.SIGTERM if by == "stop" else signal.SIGHUP)
        if by == "reload":
            wait_for(lambda: server.about()["process"] not in before)
        time.sleep(0.5)
        assert before <= server.workers()
        assert server.process.poll() is None
        (tmp_path / "go_on").touch()
        thread.join(START_TIMEOUT)
        assert [status for status, _ in answers] == [200]
        if by == "reload":
            wait_for(lambda: not before & server.workers())
            assert server.stop() == 0
        assert server.process.wait(START_TIMEOUT) == 0
    assert node_titles(real_installation) == ["slow"]


def test_a_request_that_does_not_end_does_not_keep_it_from_stopping(files: Installation, tmp_path: Path) -> None:
    with production(tmp_path, files, workers=1) as server:
        page = Page(server, "bob")
        page.send("POST", "/api/v1/nodes", {"title": "quick"})
        server.ini.write_text(server.ini.read_text().replace("graceful_timeout = 40", "graceful_timeout = 1"))
        server.reload()
        thread, answers = in_flight(server, page)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 20
        thread.join(START_TIMEOUT)
    assert isinstance(answers[0], OSError)
    assert node_titles(files) == ["quick"]


def test_a_frozen_database_does_not_keep_it_from_stopping(postgres_server: URL, tmp_path: Path) -> None:
    """Its requests end at their deadline, long before the time that requests have."""
    quick = {"connections.slow": "0.3", "connections.deadline": "2"}
    with (
        postgres_installation(postgres_server, **quick) as installation,
        production(tmp_path, installation, workers=1) as server,
    ):
        page = Page(server, "bob")
        assert page.send("GET", "/api/v1/session")[0] == 200
        answers: list[tuple[int, Any]] = []
        with stopped(*backends(installation, str(installation.registry.app_settings.user_db_url.database))):
            asking = threading.Thread(target=lambda: answers.append(page.send("GET", "/api/v1/session")))
            asking.start()
            time.sleep(0.5)  # until it is there
            started = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - started < 15
        asking.join(START_TIMEOUT)
        assert [status for status, _ in answers] == [503]


def test_a_worker_that_dies_is_replaced(real_installation: Installation, tmp_path: Path) -> None:
    with production(tmp_path, real_installation) as server:
        page, other = Page(server, "bob"), Page(server, "ada")
        page.send("POST", "/api/v1/nodes", {"title": "quick"})
        before = server.workers()
        thread, answers = in_flight(server, page)
        victim = int((tmp_path / "started").read_text())
        os.kill(victim, signal.SIGKILL)
        thread.join(START_TIMEOUT)
        assert isinstance(answers[0], OSError)
        assert {server.about()["process"] for _ in range(5)} <= before - {victim} | server.workers()
        assert other.send("GET", "/api/v1/nodes")[1]["items"][0]["title"] == "quick", "it was rolled back"
        assert other.send("POST", "/api/v1/nodes", {"title": "next"})[0] == 201
        wait_for(lambda: len(server.workers()) == 2)
        assert before - {victim} <= server.workers()
        assert server.stop() == 0
    assert node_titles(real_installation) == ["quick", "next"]


def test_a_request_with_a_key_is_carried_out_once_though_its_process_dies(
    real_installation: Installation, tmp_path: Path
) -> None:
    """Killed before the commit, nothing was done; killed after it, the answer is kept. The client cannot tell which."""
    with production(tmp_path, real_installation, workers=1) as server:
        page, title = Page(server, "bob"), {"title": "once"}
        batch = {"requests": [{"method": "POST", "path": "/nodes", "body": title}]}
        deaths = (("before_commit", "batch", batch), ("after_commit", "nodes", title))
        for rows, (moment, path, document) in enumerate(deaths, 1):
            key = {"Idempotency-Key": f"{moment} {path}"}
            (tmp_path / moment).touch()
            with pytest.raises(ConnectionError):
                page.send("POST", f"/api/v1/{path}", document, key)
            assert not (tmp_path / moment).exists()
            assert len(node_titles(real_installation)) == rows - (moment == "before_commit")
            first, second = (page.send("POST", f"/api/v1/{path}", document, key) for _ in range(2))
            assert first == second
            assert first[0] == (200 if path == "batch" else 201)
            assert len(node_titles(real_installation)) == rows
        assert server.stop() == 0


def test_no_connection_is_shared_between_processes(postgres_server: URL, tmp_path: Path) -> None:
    with postgres_installation(postgres_server) as installation:
        installation.close()
        with production(tmp_path, installation, checked=True) as server:
            page = Page(server, "bob")
            seen: dict[int, set[int]] = {}

            def ask() -> bool:
                told = page.send("GET", "/x/backends")[1]
                seen.setdefault(told["process"], set()).update(told["backends"])
                return len(seen) == 2

            wait_for(ask)
            one, two = seen.values()
            assert not one & two
            with installation.registry.user_db.begin(read_only=True) as session:
                names = [session.get_bind().url.database]  # type: ignore[union-attr]
            installation.close()
            engine = create_engine(postgres_server)
            with engine.connect() as connection:
                there = connection.execute(
                    text("SELECT pid FROM pg_stat_activity WHERE datname = ANY(:names)"), {"names": names}
                ).scalars()
                # None is left of the process that checked the settings and became the master.
                assert set(there) <= one | two
            engine.dispose()


def test_the_workers_share_what_the_server_allows(postgres_server: URL, tmp_path: Path) -> None:
    with (
        postgres_installation(postgres_server) as installation,
        production(tmp_path, installation, workers=3) as server,
    ):
        page = Page(server, "bob")
        engine = create_engine(postgres_server)
        with engine.connect() as connection:
            allowed = connection.execute(text("SELECT setting::int FROM pg_settings WHERE name = 'max_connections'"))
            most = allowed.scalar_one()
        engine.dispose()
        limits = set()
        wait_for(
            lambda: (
                page.send("GET", "/api/v1/nodes")[0] == 200
                and (limits.add(server.about()["budget"]) or max(limits) > 8)
            )
        )
        assert max(limits) <= most * 4 // 5 // 4, "three workers, and one more during a reload"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"user_db_url": ""}, "tenantapp: setting user_db.url is not a database URL."),
        (
            {"server_workers": "many"},
            "tenantapp: setting server.workers must be a number of processes from 1 to 1024, or auto.",
        ),
        ({"server_workrs": "2"}, "tenantapp: environment variable TENANTAPP_SERVER_WORKRS names no setting."),
        (
            {"connections_budget": "2"},
            "tenantapp: setting connections.budget must be at least 4, the number of the server's threads.",
        ),
    ],
)
def test_a_wrong_setting_ends_it_with_one_sentence(
    files: Installation, tmp_path: Path, change: dict[str, str], sentence: str
) -> None:
    (tmp_path / "production.ini").write_text((Path(__file__).parents[2] / "production.ini").read_text())
    done = subprocess.run(
        [PSERVE, "production.ini", f"http_port={free_port()}"],
        cwd=tmp_path,
        env=environment(files.settings) | environment({}, **change),
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (1, sentence + "\n", "")


def test_what_the_proxy_says_is_believed(served: Production) -> None:
    told = served.about(
        X_Forwarded_Proto="https",
        X_Forwarded_For="192.0.2.7, 203.0.113.9",
        X_Forwarded_Host="tenants.example",
        X_Forwarded_Port="443",
    )
    # One proxy in front: the last address is the one it saw, the rest is what the client made up.
    assert (told["url"], told["client"]) == ("https://tenants.example", "203.0.113.9")
    told = served.about(Host="elsewhere.example")
    assert (told["url"], told["client"]) == ("http://elsewhere.example", "127.0.0.1")
    told = served.about(
        X_Forwarded_Ssl="on",
        X_Forwarded_Protocol="ssl",
        Forwarded="for=192.0.2.7;proto=https",
        X_Real_Ip="192.0.2.7",
    )
    assert (told["url"], told["client"]) == (f"http://127.0.0.1:{served.port}", "127.0.0.1")
    assert "Forwarded" not in told["headers"]
    assert served.about(X_Forwarded_Proto="http, https")["url"] == f"https://127.0.0.1:{served.port}"
    assert served.get("/x/about", {"X-Forwarded-Proto": "gopher"}).status == 400
    page = Page(served, "bob")
    assert page.headers["Cookie"].startswith(f"{COOKIE}=")
    page.headers["Origin"] = f"http://127.0.0.1:{served.port}"
    assert page.send("POST", "/api/v1/nodes", {"title": "x"})[0] == 403, "another scheme is another origin"
    page.headers["Origin"] = f"https://127.0.0.1:{served.port}"
    assert page.send("POST", "/api/v1/nodes", {"title": "x"})[0] == 201


def test_what_others_say_of_themselves_is_thrown_away(files: Installation, tmp_path: Path) -> None:
    """gunicorn has a say of its own in this, by a variable, unless it is told not to."""
    forged = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "443",
        "X-Forwarded-By": "me",
        "X-Forwarded-Ssl": "on",
        "Forwarded": "for=192.0.2.7;proto=https;host=evil.example",
    }
    server = Production(tmp_path, files, 1)
    server.environment |= {"FORWARDED_ALLOW_IPS": "*", "TENANTAPP_SERVER_TRUSTED_PROXY": "192.0.2.1"}
    server.start()
    try:
        for names in (str, lambda name: name.replace("-", "_")):
            told = json.loads(server.get("/x/about", {names(name): value for name, value in forged.items()}).text)  # type: ignore[attr-defined]
            assert (told["url"], told["client"]) == (f"http://127.0.0.1:{server.port}", "127.0.0.1")
            assert set(told["headers"]) <= {"Host", "Accept-Encoding", "Content-Length", "X-Forwarded-Ssl"}
    finally:
        assert server.stop() == 0


def test_a_header_with_underscores_is_no_other_header(served: Production) -> None:
    """Not even from the proxy, which may hand on what a client sent."""
    told = json.loads(served.get("/x/about", {"X_Forwarded_Proto": "https", "SCRIPT_NAME": "/x"}).text)  # type: ignore[attr-defined]
    assert told["url"] == f"http://127.0.0.1:{served.port}"
    assert "X-Forwarded-Proto" not in told["headers"]


def test_bodies_and_headers_of_all_sizes(served: Production) -> None:
    page = Page(served, "bob")
    address = ("127.0.0.1", served.port)
    head = "Host: localhost\r\n" + "".join(f"{name}: {value}\r\n" for name, value in page.headers.items())

    def post(headers: str, body: bytes) -> bytes:
        return exchange(address, f"POST /api/v1/nodes HTTP/1.1\r\n{head}{headers}\r\n".encode() + body)

    def chunked(size: int) -> bytes:
        document = b'{"title": "' + b"x" * size + b'"}'
        return post("Transfer-Encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(document), document))

    assert chunked(5).startswith(b"HTTP/1.1 201")
    for answer in (chunked(3_000_000), post("Content-Length: 3000000\r\n", b" " * 3_000_000)):
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"application/problem+json" in answer
    assert post("Content-Length: 100000000\r\n", b"").startswith(b"HTTP/1.1 413")
    squeezed = gzip.compress(b'{"title": "x"}')
    refused = post(f"Content-Encoding: gzip\r\nContent-Length: {len(squeezed)}\r\n", squeezed)
    assert refused.startswith(b"HTTP/1.1 415")
    assert b"\r\nAccept-Encoding: identity\r\n" in refused
    assert post("Transfer-Encoding: chunked\r\n", b"no number\r\n").startswith(b"HTTP/1.1 400")
    for head_of_32_kib in (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"):
        assert exchange(address, head_of_32_kib % (b"x" * 32 * 1024)).startswith(b"HTTP/1.1 431")
    expecting = post("Expect: 100-continue\r\nContent-Length: 14\r\n", b'{"title": "e"}')
    assert expecting.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201")
    answer = exchange(address, b"HEAD /__lbheartbeat__ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"\r\n\r\n")
    requests = len([line for line in served.log() if "method" in line])
    # One that leaves in mid-body never becomes a request.
    send(address, f"POST /api/v1/nodes HTTP/1.1\r\n{head}Content-Length: 100\r\n\r\n{{".encode()).close()
    served.get("/__lbheartbeat__")
    assert len([line for line in served.log() if "method" in line]) == requests + 1


def test_every_answer_says_that_its_connection_ends(served: Production) -> None:
    """So nobody sends a request on a connection that is about to be closed."""
    for path in ("/__lbheartbeat__", "/nowhere", "/x/about"):
        assert served.get(path, {"Connection": "keep-alive"}).headers["Connection"] == "close"


def test_clients_that_send_nothing_or_slowly_do_not_hold_it_up(served: Production) -> None:
    page, address = Page(served, "bob"), ("127.0.0.1", served.port)
    head = "Host: x\r\n" + "".join(f"{name}: {value}\r\n" for name, value in page.headers.items())
    long = f"{head.replace('application/json', 'text/csv')}Content-Length: 900000\r\n\r\nt"
    beginnings = {
        "": 60,
        "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ": 40,
        f"POST /api/v1/nodes HTTP/1.1\r\n{head}Content-Length: 99\r\n\r\n{{": 40,
        f"POST /api/v1/nodes/import HTTP/1.1\r\n{long}": 10,
        f"POST /api/v1/session HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n9\r\n": 10,
    }
    slow = [send(address, start.encode()) for start, times in beginnings.items() for _ in range(times)]
    for _ in range(9):  # more than there are threads
        started = time.monotonic()
        assert served.get("/__lbheartbeat__").status == 200
        assert time.monotonic() - started < 5
    for connection in slow:
        connection.close()


def test_what_the_server_itself_answers_has_the_headers_of_security_too(served: Production) -> None:
    """The proxy speaks TLS, so ``Strict-Transport-Security`` is among them."""
    for request in (
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Port: x\r\n\r\n",
    ):
        answer = exchange(("127.0.0.1", served.port), request)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert json.loads(body)["code"] == "bad_request"
        sent = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")}
        assert sent >= {b"strict-transport-security", b"x-content-type-options", b"content-security-policy"}
        assert b"server" not in sent


def test_the_id_of_a_request_is_the_proxys(served: Production) -> None:
    assert served.get("/nowhere", {"X-Request-ID": "of-the-proxy"}).headers["X-Request-ID"] == "of-the-proxy"
