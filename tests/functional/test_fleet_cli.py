"""The commands of the fleet: tenants by the dozen, operations, workers, reconcile. On SQLite."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from tenantapp.cli.installation import Installation
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.operations.models import Operation
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tests.functional.conftest import Command
from tests.ports import free_port

TIMEOUT = 60.0  # seconds, of what takes one
SERVER = """
fleet.worker = 1
fleet.warm_databases = 1

[server:main]
use = egg:{server}
host = 127.0.0.1
port = {port}
"""


def states(done: Command) -> dict[str, str]:
    """The state of each tenant."""
    return {row["slug"]: row["state"] for row in done("tenants", "list", "--json").json["items"]}


def operations(done: Command, *options: str) -> list[dict[str, Any]]:
    return list(done("operations", "list", "--json", *options).json["items"])


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


class TestCreate:
    def test_several(self, done: Command) -> None:
        out = done("tenants", "create", "acme", "globex").out.splitlines()
        assert [line.split(":")[0] for line in out] == ["The tenant acme is ready", "The tenant globex is ready"]
        rows = done("tenants", "create", "initech", "umbrella", "--json").json["items"]
        assert [row["slug"] for row in rows] == ["initech", "umbrella"]
        assert set(states(done).values()) == {"active"}

    def test_from_a_file(self, done: Command, run: Command, tmp_path: Path) -> None:
        file = tmp_path / "tenants.csv"
        file.write_text(
            "\ufeffslug,name,server\n"
            'acme,"Acme, Inc.",\n'
            "No Slug,,\n"
            "globex,,moon\n"
            "acme,again,main\n"
            "initech\n"
            '"; DROP TABLE tenants",,\n'
            "umbrella,,main\n",
            encoding="utf-8",
        )
        result = run("tenants", "create", "--from", str(file))
        assert result.status == 1
        *lines, last = result.err.splitlines()
        assert [line.split(":")[0] for line in lines] == [f"line {number}" for number in (3, 4, 5, 6, 7)]
        assert "no server moon" in lines[1]
        assert "already" in lines[2]
        assert last == "tenantapp: 5 of 7 tenants were not made."
        assert states(done) == {"acme": "active", "umbrella": "active"}
        assert done("tenants", "show", "acme", "--json").json["name"] == "Acme, Inc."

    def test_a_file_that_cannot_be_used(self, done: Command, failed: Callable[..., str], tmp_path: Path) -> None:
        file = tmp_path / "tenants.csv"
        for text in ("", "name,server\nx,y\n", "slug,colour\na,b\n"):
            file.write_text(text)
            assert "must name its columns" in failed("tenants", "create", "--from", str(file))
        file.write_text('slug\nacme\n"glob')
        assert "unexpected end" in failed("tenants", "create", "--from", str(file))
        assert "exist" in failed("tenants", "create", "--from", str(tmp_path / "missing"))
        assert "Name a tenant" in failed("tenants", "create")
        assert "--name" in failed("tenants", "create", "a1", "b1", "--name", "x")
        assert states(done) == {}

    def test_a_slug_of_300_characters(self, done: Command, failed: Callable[..., str], tmp_path: Path) -> None:
        failed("tenants", "create", "a" * 300)
        failed("tenants", "create", "../../etc")
        assert operations(done) == []
        assert not list(tmp_path.glob("tenants/tenant_*"))

    def test_detached(self, done: Command, failed: Callable[..., str]) -> None:
        first = done("tenants", "create", "acme", "--detach").out.strip()
        (row,) = done("tenants", "create", "globex", "--detach", "--json").json["items"]
        assert UUID(first)
        assert row["state"] == "queued"
        assert states(done) == {"acme": "creating", "globex": "creating"}
        assert "already" in failed("tenants", "create", "acme", "--detach")
        out = done("worker", "--until-idle").out
        assert f"{first} create acme succeeded" in out
        assert states(done) == {"acme": "active", "globex": "active"}
        shown = done("operations", "show", first, "--json").json
        assert (shown["state"], shown["percent"], shown["requested_by"].split(":")[0]) == ("succeeded", 100, "local")
        assert [row["slug"] for row in operations(done, "--tenant", "acme")] == ["acme"]
        assert operations(done, "--state", "queued") == []
        assert first in done("operations", "list").out


class TestOperations:
    def test_cancel_and_retry(self, done: Command, failed: Callable[..., str]) -> None:
        operation = done("tenants", "create", "acme", "--detach").out.strip()
        assert "is cancelled" in done("operations", "cancel", operation).out
        assert states(done) == {}
        assert "already" in failed("operations", "cancel", operation)
        assert done("operations", "retry", operation, "--detach").out.strip() == operation
        assert states(done) == {"acme": "creating"}
        assert "only a failed or cancelled operation" in failed("operations", "retry", operation)
        done("operations", "cancel", operation)
        assert "is succeeded" in done("operations", "retry", operation).out
        assert states(done) == {"acme": "active"}

    def test_what_is_not_there(self, done: Command, failed: Callable[..., str]) -> None:
        for command in ("show", "retry", "cancel"):
            assert "no operation" in failed("operations", command, str(uuid7()))
            failed("operations", command, "not-an-id")

    def test_old_ones_are_swept(self, done: Command, ini: Path) -> None:
        done("tenants", "create", "acme", "globex")
        with closing(Installation(ini)) as installation, installation.user_session() as session:
            old = utcnow().replace(year=2020)
            session.execute(update(Operation).where(Operation.slug == "acme").values(finished_at=old))
        assert "1 old operation deleted." in done("sweep").out
        assert [row["slug"] for row in operations(done)] == ["globex"]


class TestReconcile:
    def test_nothing_to_do(self, done: Command) -> None:
        done("tenants", "create", "acme")
        assert "agree" in done("fleet", "reconcile").out
        assert done("fleet", "reconcile", "--json").json == {"items": []}

    def test_found_and_mended(self, done: Command, run: Command, tmp_path: Path, ini: Path) -> None:
        done("tenants", "create", "acme", "globex", "initech")
        with closing(Installation(ini)) as installation, installation.user_session() as session:
            session.add(
                Tenant(slug="half", name="Half", server="main", database="tenant_half", state=TenantState.CREATING)
            )
        (tmp_path / "tenants" / f"tenant_{uuid7().hex}.sqlite").touch()
        database = done("tenants", "show", "acme", "--json").json["database"]
        (tmp_path / "tenants" / f"{database}.sqlite").unlink()
        found = run("fleet", "reconcile", "--json")
        assert found.status == 1
        assert "3 problems are left" in found.err
        assert sorted(item["problem"] for item in found.json["items"]) == [
            "database without a tenant",
            "tenant that no operation makes",
            "tenant without a database",
        ]
        there = {"globex": "active", "initech": "active"}
        assert states(done) == {"acme": "active", "half": "creating", **there}
        assert all(item["fixed"] for item in done("fleet", "reconcile", "--fix", "--json").json["items"])
        assert "agree" in done("fleet", "reconcile").out
        assert states(done) == there

    def test_on_a_terminal_it_asks(self, done: Command, run: Command, tmp_path: Path) -> None:
        done("tenants", "create", "acme")
        lost = tmp_path / "tenants" / f"tenant_{uuid7().hex}.sqlite"
        lost.touch()
        refused = run("fleet", "reconcile", "--fix", given="n\n", terminal=True)
        assert refused.status == 1
        assert "Mend 1 of the 1 findings?" in refused.err
        assert "Nothing was done." in refused.err
        assert lost.exists()
        done("fleet", "reconcile", "--fix", "--yes")
        assert not lost.exists()


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A real process, ended at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; from tenantapp.cli import main; sys.exit(main(sys.argv[1:]))", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


# Where Python drops exceptions.
IN_A_FINALIZER = """
import os, signal, weakref
from tenantapp.cli.working import EndedBySignal

class Thing:
    pass

ended, thing = EndedBySignal(), Thing()
reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
del thing
print(ended.is_set())
"""


class TestWorker:
    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_it_works_until_it_is_ended(self, done: Command, jobs: str) -> None:
        with process("worker", "--jobs", jobs) as worker:
            done("tenants", "create", "acme", "globex", "initech", "--detach")
            wait_for(lambda: set(states(done).values()) == {"active"})
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(TIMEOUT) == 0
            assert worker.stderr is not None
            assert worker.stderr.read() == ""

    def test_a_signal_in_a_finalizer_is_not_lost(self) -> None:
        ended = subprocess.run([sys.executable, "-c", IN_A_FINALIZER], capture_output=True, text=True, check=True)
        assert (ended.stdout, ended.stderr) == ("True\n", "")

    def test_jobs_end_with_their_supervisor(self, done: Command) -> None:
        with process("worker", "--jobs", "2") as worker:
            children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
            wait_for(lambda: len(children.read_text().split()) >= 2)
            pids = [int(pid) for pid in children.read_text().split()]
            worker.kill()
            worker.wait(TIMEOUT)
        wait_for(lambda: not any(is_worker(pid) for pid in pids))

    def test_until_idle(self, done: Command) -> None:
        done("tenants", "create", "acme", "globex", "--detach")
        done("worker", "--jobs", "2", "--until-idle")
        assert states(done) == {"acme": "active", "globex": "active"}


def is_worker(pid: int) -> bool:
    try:
        return b"tenantapp" in Path(f"/proc/{pid}/cmdline").read_bytes() or "spawn" in str(
            Path(f"/proc/{pid}/cmdline").read_bytes()
        )
    except OSError:
        return False


@pytest.mark.parametrize("server", ["tenantapp", "waitress"])
def test_the_server_hosts_a_worker(done: Command, ini: Path, server: str) -> None:
    """At once under our server; under another one from the first request on."""
    port = free_port()
    ini.write_text(ini.read_text() + SERVER.format(server=server, port=port))
    done("tenants", "create", "acme", "--detach")
    assert states(done) == {"acme": "creating"}, "a command hosts none"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    with subprocess.Popen([sys.executable, "-m", "pyramid.scripts.pserve", str(ini)], env=environment) as serving:
        try:
            if server == "waitress":
                wait_for(lambda: answers(port))
            wait_for(lambda: states(done) == {"acme": "active"})
            # It keeps the pool filled as well.
            wait_for(lambda: any(row["kind"] == "warm" and row["state"] == "succeeded" for row in operations(done)))
            done("tenants", "create", "globex")
            (created,) = operations(done, "--tenant", "globex")
            assert created["result"]["warm"] is True
        finally:
            serving.terminate()
            serving.wait(TIMEOUT)


def answers(port: int) -> bool:
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(f"http://127.0.0.1:{port}/__lbheartbeat__") as answer:
            return bool(json.loads(answer.read() or b"{}") is not None)
    except URLError:
        return False


class TestDelete:
    def test_and_back(self, done: Command, failed: Callable[..., str]) -> None:
        done("tenants", "create", "acme")
        for option in ("--yes", "--detach"):
            assert "need --now" in failed("tenants", "delete", "acme", option)
        assert "`tenants undelete` brings it back" in done("tenants", "delete", "acme").out
        assert states(done) == {"acme": "deleted"}
        assert "already" in failed("tenants", "create", "acme")
        assert "is deleted" in failed("tenants", "suspend", "acme", "--reason", "x")
        assert "active again" in done("tenants", "undelete", "acme").out
        assert "not deleted" in failed("tenants", "undelete", "acme")
        assert done("tenants", "delete", "acme", "--json").json["purge_after"]
        done("worker", "--until-idle")
        assert states(done) == {"acme": "deleted"}

    def test_later_and_then_now(self, done: Command) -> None:
        done("tenants", "create", "acme")
        done("tenants", "delete", "acme")
        removed = done("tenants", "delete", "acme", "--now", "--without-copy", "--json").json
        assert (removed["database"], removed["final_copy"]) == ("removed", None)
        assert states(done) == {}

    def test_now(self, done: Command, failed: Callable[..., str], tmp_path: Path) -> None:
        done("tenants", "create", "acme", "globex")
        done("users", "add", "ada", "--password-stdin", given="correct horse battery")
        done("grants", "add", "ada", "acme", "--role", "admin")
        done("service-accounts", "add", "robot", "acme", "--role", "author")
        for login in ("ada", "robot"):
            done("tokens", "add", login, "acme", "--name", "x")
        # Without a store nothing can be kept of it, and so somebody has to say that this is meant.
        assert "--without-copy" in failed("tenants", "delete", "acme", "--now")
        assert states(done) == {"acme": "active", "globex": "active"}
        report = done("tenants", "delete", "acme", "--now", "--without-copy", "--json").json
        assert done("operations", "show", report.pop("operation"), "--json").json["state"] == "succeeded"
        assert report == {
            "slug": "acme",
            "final_copy": None,
            "database": "removed",
            "role": "removed",
            "grants": 2,
            "web_sessions": 0,
            "api_tokens": 2,
            "service_accounts": 1,
            "operations_cancelled": 0,
        }
        assert states(done) == {"globex": "active"}
        assert [user["login"] for user in done("users", "list", "--json").json["items"]] == ["ada"]
        assert len(list((tmp_path / "tenants").glob("tenant_*"))) == 1
        assert "no tenant acme" in failed("tenants", "delete", "acme", "--now", "--without-copy")
        later = done("tenants", "delete", "globex", "--json").json
        assert done("tenants", "delete", "globex", "--json").json == later
        detached = ("tenants", "delete", "globex", "--now", "--without-copy", "--detach")
        operation = done(*detached).out.strip()
        assert done(*detached).out.strip() == operation
        done("worker", "--until-idle")
        assert done("operations", "show", operation, "--json").json["state"] == "succeeded"
        assert states(done) == {}


@pytest.mark.parametrize(
    "waves", ["", " ", "0", "-1", "1,", ",1", "1,,2", "1,x", "1;2", "1.5", "\u0663", "\u00b2", "9" * 5000]
)
def test_waves_are_numbers_of_tenants(ini: Path, run: Command, waves: str) -> None:
    refused = run("migrate", f"--waves={waves}")
    assert (refused.status, "separated by commas" in refused.err) == (2, True)
