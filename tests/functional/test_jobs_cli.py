"""``tenantapp jobs`` and ``tenantapp worker`` with a domain that has jobs."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tenantapp.cli.installation import Installation as CommandsInstallation
from tenantapp.databases.histories.histories import bundled
from tenantapp.identity.local_access import local_access
from tenantapp.mail.messages import send_mail
from tenantapp.sql.ids import uuid7
from tenantapp.work.worker import worker_databases
from tests.functional.conftest import INI, Command
from tests.jobs import Desk

DEPOT = """
def count(job):
    if job.arguments["shelf"] == 13:
        raise ValueError("no such shelf")

def includeme(config):
    config.add_job("count", "depot:count", retries=0)
"""


@pytest.fixture
def enqueue(done: Command, ini: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Queues jobs of the tenant acme, whose domain counts what is on shelves, and returns their ids."""
    done("tenants", "create", "acme")
    (ini.parent / "depot").mkdir()
    (ini.parent / "depot" / "__init__.py").write_text(DEPOT)
    (ini.parent / "depot" / "models.py").write_text("import tenantapp.workspace.models\n")
    ini.write_text(f"{INI}tenantapp.domain = depot\nmigrations.tenant = {bundled('tenant')}\n")
    monkeypatch.syspath_prepend(str(ini.parent))

    def enqueue(shelf: int) -> str:
        with closing(CommandsInstallation(ini)) as installation, worker_databases(installation.fleet) as databases:
            desk = Desk(installation.fleet, databases)
            desk.declared = installation.fleet.declared.jobs
            return str(desk.enqueue("count", {"shelf": shelf}))

    return enqueue


def states(done: Command) -> dict[str, str]:
    return {job["id"]: job["state"] for job in done("jobs", "list", "acme", "--json").json["items"]}


def test_a_worker_does_the_jobs_and_operators_see_them(done: Command, enqueue: Callable[..., str]) -> None:
    good, bad = enqueue(1), enqueue(13)
    assert done("worker", "--until-idle").out == f"{bad} count acme failed: ValueError: no such shelf\n"
    assert states(done) == {good: "done", bad: "failed"}
    (failed,) = done("jobs", "list", "acme", "--state", "failed", "--json").json["items"]
    assert (failed["error"], failed["arguments"], failed["attempts"]) == ("ValueError: no such shelf", {"shelf": 13}, 1)
    assert "no such shelf" in done("jobs", "list", "acme").out
    assert done("jobs", "retry", "acme", bad, "--json").json["items"][0]["state"] == "queued"
    done("worker", "--until-idle")
    assert states(done)[bad] == "failed"
    done("jobs", "cancel", "acme", bad)
    assert states(done)[bad] == "cancelled"
    actions = [entry["action"] for entry in done("fleet", "audit", "--tenant", "acme", "--json").json["items"]]
    assert actions[:2] == ["job.cancel", "job.retry"]


def test_the_jobs_of_a_clone_are_held_and_released(done: Command, enqueue: Callable[..., str]) -> None:
    job_id = enqueue(1)
    done("tenants", "clone", "acme", "copy")
    (held,) = done("jobs", "list", "copy", "--json").json["items"]
    assert (held["id"], held["state"]) == (job_id, "held")
    assert done("jobs", "release", "copy", "--json").json["items"][0]["state"] == "queued"
    done("worker", "--until-idle")
    assert done("jobs", "list", "copy", "--json").json["items"][0]["state"] == "done"
    assert done("jobs", "release", "copy", "--json").json == {"items": []}


def test_mistakes_are_one_sentence_and_change_nothing(
    done: Command, failed: Callable[..., str], enqueue: Callable[..., str]
) -> None:
    job_id, other = enqueue(1), str(uuid7())
    assert failed("jobs", "list", "nobody") == "There is no tenant nobody"
    assert failed("jobs", "retry", "acme", other) == f"There is no job {other}"
    assert failed("jobs", "release", "acme", job_id) == "The job is queued; only a held job can be released"
    assert states(done) == {job_id: "queued"}
    assert "job.release" not in done("fleet", "audit", "--tenant", "acme").out


SLIPS: list[tuple[str, str]] = [
    ('"Count", print', "The job 'Count' needs a name in lower case, such as recount, of at most 100 characters"),
    ('"count", "stock:cuont"', "The job count has the handler stock:cuont, which cannot be imported"),
    ('"count", 7', "The job count needs a function, or the name of one, such as inventory.jobs:recount"),
    ('"count", print, every="1 day"', "The job count has the period '1 day'"),
    ('"count", print, cron="0 25 * * *"', "The job count has the cron expression '0 25 * * *', which cannot be used"),
    ('"count", print, every="1d", cron="0 1 * * *"', "The job count has both every and cron; give one of them"),
    ('"count", print, retries=-1', "The job count has retries=-1; it is a number from 0 to 100"),
    ('"count", print, timeout=0', "The job count has timeout=0; it is in seconds, at most 86400"),
    ('"count", print)\n    config.add_job("count", print', "There are two jobs called count"),
]


@pytest.mark.parametrize(("declaration", "sentence"), SLIPS, ids=[sentence[:40] for _, sentence in SLIPS])
def test_a_slip_in_a_declaration_ends_the_start(
    ini: Path, failed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, declaration: str, sentence: str
) -> None:
    (ini.parent / "stock.py").write_text(f"def includeme(config):\n    config.add_job({declaration})\n")
    ini.write_text(f"{INI}tenantapp.domain = stock\nmigrations.tenant = {bundled('tenant')}\n")
    monkeypatch.syspath_prepend(str(ini.parent))
    assert failed("worker", "--until-idle").startswith(sentence)


def test_a_worker_of_the_bundled_domain_does_its_jobs_too(done: Command, ini: Path, tmp_path: Path) -> None:
    ini.write_text(f"{ini.read_text()}mail.url = file://{tmp_path}/mail/\nmail.from = shop@example.com\n")
    done("tenants", "create", "acme")
    with closing(CommandsInstallation(ini)) as installation, worker_databases(installation.fleet) as databases:
        with installation.user_session(read_only=True) as session:
            access = local_access(session, "acme")
        with databases.begin(access) as session:
            queue: Any = SimpleNamespace(enqueue=partial(databases.enqueue, session, access))  # type: ignore[arg-type]
            send_mail(queue, "ann@example.com", "Hi", "Hi")
    done("worker", "--until-idle")
    assert [path.suffix for path in (tmp_path / "mail").iterdir()] == [".eml"]
