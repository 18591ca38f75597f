"""A worker whose job hangs in the middle, to be killed there."""

import json
from threading import Event

from tenantapp.operations.fleet import fleet_of
from tenantapp.settings import read_settings
from tenantapp.work.declarations import DeclaredJobs
from tenantapp.work.running import Job
from tenantapp.work.worker import JobWorker, worker_databases
from tenantapp.workspace.models import Tag
from tests.contract.hanging import hang


def add_tag(job: Job) -> None:
    """Add a tag, and write it to the database."""
    job.session.add(Tag(name=job.arguments["tag"]))
    job.session.flush()


def add_tag_and_hang(job: Job) -> None:
    """Add a tag, and hang before it is committed."""
    add_tag(job)
    hang()


def declared(*, hangs: bool = False) -> DeclaredJobs:
    """Jobs that add a tag. ``hang`` hangs, if it is to."""
    jobs = DeclaredJobs()
    jobs.declare("add", add_tag)
    jobs.declare("hang", add_tag_and_hang if hangs else add_tag, retries=0)
    return jobs


def main(values: str) -> None:
    """Work on the jobs."""
    fleet = fleet_of(read_settings(json.loads(values), {}))
    with worker_databases(fleet) as databases:
        JobWorker(fleet, databases, declared(hangs=True)).run(Event(), until_idle=True)
