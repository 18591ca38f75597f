"""The work of ``worker``."""

import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread
from typing import Final
from uuid import UUID

import click

from tenantapp.audit.keeper import Keeper
from tenantapp.cli.failures import KNOWN_ERRORS, CommandFailed, explained
from tenantapp.cli.installation import Installation, tenant_databases
from tenantapp.databases.histories.oldest_program import refuse_old_program
from tenantapp.databases.histories.revisions import outdated_revisions
from tenantapp.federation.lapsed_domains import check_domains, keep_checking_domains
from tenantapp.fleet.archives.shipping import Shipper
from tenantapp.fleet.kinds import CHORES, KINDS
from tenantapp.mail.delivering import Delivery, delivery_of
from tenantapp.mail.transports import transport_of
from tenantapp.operations.background import Background
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.outcomes import Outcome
from tenantapp.operations.queue import get_operation
from tenantapp.operations.worker import Worker
from tenantapp.tenancy.user_database import check_user_database
from tenantapp.work.visits import is_visit_due
from tenantapp.work.worker import JobWorker, job_host

COLLECT_AFTER: Final = 700  # new objects, as Python has it: unlike other commands, a worker runs for weeks
LOOK_EVERY: Final = 1.0  # seconds
RESTART_AFTER: Final = 5.0  # seconds


class EndedBySignal(Event):
    """Set by SIGTERM, which also raises ``SystemExit`` in the work that goes on.

    Python drops an exception that is raised in a finalizer, such as those of weak references. Then the worker sees the
    event, and ends before it looks for the next operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_ended = False
        signal.signal(signal.SIGTERM, self._end)
        sys.unraisablehook = _say_nothing_of_exits

    def is_set(self) -> bool:
        """Return whether the signal came. The event's own lock is not used: what was interrupted may hold it."""
        return self._is_ended or super().is_set()

    def _end(self, number: int, frame: object) -> None:
        self._is_ended = True
        raise SystemExit(0)


def _say_nothing_of_exits(dropped: "sys.UnraisableHookArgs") -> None:
    if dropped.exc_type is not SystemExit:
        sys.__unraisablehook__(dropped)


def work(installation: Installation, jobs: int, until_idle: bool) -> None:
    """Work on operations, ``jobs`` at once, until the process is stopped.

    Raises ``CommandFailed``, and ``SettingsError`` if the domain cannot be loaded, or the user database lacks commits
    or is for newer programs.
    """
    check_user_database(installation.settings.user_db_url)
    refuse_old_program(installation.settings, installation.fleet.user_db)
    if installation.fleet.may_declare or not until_idle:
        _ = installation.fleet.declared  # a worker that could not run the domain's code does not start
    gc.set_threshold(COLLECT_AFTER)
    # Unlike other commands, a worker ends by a signal, and with status 0.
    ended = EndedBySignal()
    with suppress(KeyboardInterrupt):
        if jobs == 1:
            _work(installation, until_idle, ended)
        else:
            _supervise(installation.ini, jobs, until_idle, ended)


def _work(installation: Installation, until_idle: bool, ended: Event) -> None:
    def told(operation_id: UUID, outcome: Outcome) -> None:
        _tell(installation, operation_id, outcome)

    fleet = installation.fleet
    if installation.tracing is not None and (fleet.may_declare or not until_idle):
        installation.tracing.use(fleet.declared.tracing)
    delivery, keeper = _delivery(fleet), Keeper(fleet.user_db, fleet.settings)
    worker, outdated = Worker(fleet, KINDS, CHORES, told), outdated_revisions(fleet.settings)
    if not until_idle:
        with (
            _worker_of_jobs(fleet, outdated) as jobs,
            job_host(jobs),
            nullcontext() if delivery is None else Background("mail", delivery.run),
            Background("audit trail", keeper.run),
            Background("domains", partial(keep_checking_domains, fleet)),
            Background("shipping", Shipper(fleet).run),
        ):
            worker.run(ended)
        return
    worker.run(ended, until_idle=True)
    if delivery is not None:
        delivery.deliver()
    # The bundled domain has jobs too: webhooks and mail. Loading it takes a second, so only if a tenant is due.
    if fleet.may_declare or is_visit_due(fleet.user_db, outdated):
        with _worker_of_jobs(fleet, outdated) as jobs:
            jobs.run(ended, until_idle=True)
    keeper.work_until_idle()
    if fleet.settings.backups_ship is not None:
        Shipper(fleet).ship()
    while check_domains(fleet):
        pass


def _delivery(fleet: Fleet) -> Delivery | None:
    """Return what delivers account mail, or None without a mail server."""
    settings = fleet.settings
    if settings.mail_url is None:
        return None
    transport = transport_of(settings.mail_url, settings.mail_timeout)
    return delivery_of(settings, fleet.user_db, lambda: transport, fleet.tracer)


@contextmanager
def _worker_of_jobs(fleet: Fleet, outdated: frozenset[str | None]) -> Iterator[JobWorker]:
    """Yield the worker of the tenants' jobs. Raises ``SettingsError`` if the domain cannot be loaded."""
    with tenant_databases(fleet) as databases:
        yield JobWorker(fleet, databases, fleet.declared.jobs, outdated, told=click.echo)


def _tell(installation: Installation, operation_id: UUID, outcome: Outcome) -> None:
    with installation.user_session(read_only=True) as session:
        operation = get_operation(session, operation_id)
        error = f": {operation.error}" if operation.error else ""
        click.echo(f"{operation_id} {operation.kind} {operation.slug or '-'} {outcome.state}{error}")


def _supervise(ini: Path, jobs: int, until_idle: bool, ended: Event) -> None:
    """Run a process for each job: Alembic keeps its state in globals."""
    running = [_start(ini, until_idle) for _ in range(jobs)]
    try:
        while running and not ended.is_set():
            time.sleep(LOOK_EVERY)
            dead = [process for process in running if not process.is_alive()]
            running = [process for process in running if process.is_alive()]
            if until_idle and any(process.exitcode for process in dead):
                raise CommandFailed("A job ended before its work was done")
            if not until_idle and dead:
                time.sleep(RESTART_AFTER)
                running += [_start(ini, until_idle) for _ in dead]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.join()


def _start(ini: Path, until_idle: bool) -> BaseProcess:
    process = get_context("spawn").Process(target=_job, args=(ini, until_idle, os.getpid()))
    process.start()
    return process


def _job(ini: Path, until_idle: bool, supervisor: int) -> None:
    # Ctrl-C reaches all processes of a terminal. The supervisor ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended = EndedBySignal()
    Thread(target=_end_with, args=(supervisor,), daemon=True).start()
    with closing(Installation(ini)) as installation:
        try:
            _work(installation, until_idle, ended)
        except KNOWN_ERRORS as error:
            click.echo(f"tenantapp: {explained(error).rstrip('.')}.", err=True)
            raise SystemExit(1) from error


def _end_with(supervisor: int) -> None:
    """End this process when its supervisor is gone: a killed supervisor cannot end it."""
    while os.getppid() == supervisor:
        time.sleep(LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
