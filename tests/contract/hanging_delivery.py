"""A worker that delivers webhooks, and hangs after an answer of the receiver, to be killed before it is recorded."""

import json
from threading import Event
from typing import Any

from tenantapp.operations.fleet import fleet_of
from tenantapp.settings import read_settings
from tenantapp.webhooks import delivering
from tenantapp.work.declarations import DeclaredJobs
from tenantapp.work.worker import JobWorker, worker_databases
from tests.contract.hanging import hang


def hang_before_it_is_recorded(*_: Any) -> None:
    """Stand for the statement that records an answer."""
    hang()


def main(values: str) -> None:
    """Deliver, up to the first answer."""
    fleet = fleet_of(read_settings(json.loads(values), {}))
    declared: DeclaredJobs = fleet.declared.jobs
    delivering.record_delivered = hang_before_it_is_recorded
    with worker_databases(fleet) as databases:
        JobWorker(fleet, databases, declared).run(Event(), until_idle=True)
