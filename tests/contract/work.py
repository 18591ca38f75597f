"""A kind of operation that writes down what it does. ``main`` is a worker that hangs, to be killed."""

import json
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from sqlalchemy.orm import Session

from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.models import Operation
from tenantapp.operations.worker import Worker
from tenantapp.settings import read_settings
from tenantapp.tenancy.servers import Servers
from tenantapp.tenancy.user_database import user_database
from tests.contract.hanging import hang

STEPS = ("first", "second", "third")


class Journal:
    """A file that outlives a killed process; a line is written at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{line}\n")

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []


def kind(
    journal: Journal,
    *,
    undoes: bool,
    during: Callable[[str, Context], None] = lambda step, context: None,
    undoing: Callable[[str, Context], None] = lambda step, context: None,
) -> Kind:
    """Three steps that write their names down. ``during`` and ``undoing`` are called after that."""

    def step(name: str) -> Step:
        def run(context: Context) -> dict[str, Any]:
            journal.write(f"{context.slug} {name}")
            during(name, context)
            return {name: len(context.result)}

        def undo(context: Context) -> None:
            journal.write(f"{context.slug} undo {name}")
            undoing(name, context)

        return Step(name, run, undo)

    def noted(what: str) -> Callable[[Session, Operation], None]:
        return lambda session, operation: journal.write(f"{operation.slug} {what}")

    return Kind(
        "work",
        tuple(step(name) for name in STEPS),
        undoes=undoes,
        prepare=noted("prepare"),
        complete=noted("complete"),
        withdraw=noted("withdraw"),
    )


def main(values: str, journal: str, undoes: str, *hangs: str) -> None:
    """Work on what is waiting; hang in the steps that are named."""
    settings = read_settings(json.loads(values), {})
    servers = Servers.of(settings)
    fleet = Fleet(user_database(settings.user_db_url), settings, servers)

    def during(step: str, context: Context) -> None:
        if step in hangs:
            hang()

    def undoing(step: str, context: Context) -> None:
        during(f"undo-{step}", context)
        if "undo" in hangs:
            raise RuntimeError

    def failing(step: str, context: Context) -> None:
        during(step, context)
        if "fail" in hangs and step == STEPS[-1]:
            raise RuntimeError("broken")

    ours = kind(Journal(Path(journal)), undoes=undoes == "undoes", during=failing, undoing=undoing)
    Worker(fleet, {"work": ours}).run(Event(), until_idle=True)
