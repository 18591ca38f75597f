"""The benchmarks' own load generator, and the order in which it asks."""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import load
from benchmarks.load import Load, http_request
from benchmarks.orders import order_of


class Counting(ThreadingHTTPServer):
    """Answers 200, or 500 below ``/bad``, and hangs up below ``/gone``. It counts what it is asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Counting

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked[self.path] += 1
        if self.path == "/gone":
            self.close_connection = True
            return
        self.send_response(500 if self.path == "/bad" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Counting]:
    with Counting() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def sent(server: Counting, directory: Path, paths: list[str], order: list[int]) -> Load:
    file = directory / "requests"
    load._write(file, [http_request("GET", path, {}) for path in paths], order)
    generator = str(Path(load.__file__).with_name("generator.py"))
    command = [sys.executable, generator, str(server.server_address[1]), str(file), "0.5", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Load(**json.loads(done.stdout))


def test_every_answer_is_counted_once(server: Counting, tmp_path: Path) -> None:
    found = sent(server, tmp_path, ["/good", "/other"], [0, 1, 1])
    # Four may have been under way at the end, answered and not counted any more.
    assert 0 <= server.asked.total() - found.requests <= 4
    assert found.requests > 20
    assert found.errors == 0
    assert server.asked["/other"] == pytest.approx(2 * server.asked["/good"], abs=8)
    assert 0 < found.median_ms <= found.p99_ms
    assert found.rate == pytest.approx(found.requests / found.seconds)


def test_bad_answers_are_no_good_ones(server: Counting, tmp_path: Path) -> None:
    found = sent(server, tmp_path, ["/good", "/bad"], [0, 1])
    assert found.failed == pytest.approx(server.asked["/bad"], abs=4)
    assert found.broken == 0
    assert found.rate == pytest.approx((found.requests - found.failed) / found.seconds)


def test_a_connection_that_is_hung_up_is_told(server: Counting, tmp_path: Path) -> None:
    found = sent(server, tmp_path, ["/good", "/gone"], [0, 1])
    assert found.broken == pytest.approx(server.asked["/gone"], abs=4)
    assert found.broken > 0


def test_zipf_asks_by_rank() -> None:
    asked = [count for _, count in Counter(order_of("Zipf", 1000)).most_common()]
    assert asked[0] / asked[1] == pytest.approx(2**1.1, rel=0.15)
    assert asked[0] / asked[9] == pytest.approx(10**1.1, rel=0.25)
    assert order_of("Zipf", 1000) == order_of("Zipf", 1000)


def test_in_turn_asks_each_once() -> None:
    assert order_of("in turn", 5) == [0, 1, 2, 3, 4]
