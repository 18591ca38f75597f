"""Keeping a lease while a step works."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Final

from sqlalchemy.exc import DBAPIError

from tenantapp.operations.errors import LeaseLost
from tenantapp.operations.leases import LEASE, Claim, hold
from tenantapp.sql.errors import SqlError
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenancyError

log = logging.getLogger(__name__)
RENEW_EVERY: Final = LEASE.total_seconds() / 4  # seconds


@contextmanager
def lease_kept(user_db: DBFactory, claim: Claim) -> Iterator[Event]:
    """Renew the lease until the block ends. The event is set when it is lost, or could not be renewed in time."""
    lost, over = Event(), Event()
    thread = Thread(target=_keep, args=(user_db, claim, lost, over), name=f"lease {claim.operation_id}", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        over.set()
        thread.join()


def _keep(user_db: DBFactory, claim: Claim, lost: Event, over: Event) -> None:
    renewed = time.monotonic()
    while not over.wait(RENEW_EVERY):
        try:
            with user_db.begin() as session:
                hold(session, claim)
            renewed = time.monotonic()
        except LeaseLost:
            lost.set()
            return
        except (SqlError, TenancyError, DBAPIError) as error:
            log.warning("The lease of operation %s was not renewed: %s", claim.operation_id, error)
            if time.monotonic() - renewed > LEASE.total_seconds():
                lost.set()


@contextmanager
def repeated(keep: Callable[[], None], name: str) -> Iterator[None]:
    """Call ``keep`` every few seconds until the block ends.

    When the user database does not answer, it is tried again before a lease runs out.
    """
    over = Event()

    def repeat() -> None:
        while not over.wait(RENEW_EVERY):
            with suppress(SqlError, TenancyError, DBAPIError):
                keep()

    thread = Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
