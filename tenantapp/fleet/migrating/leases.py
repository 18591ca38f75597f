"""Keeping the claims and the fences of a run of migrations while it lasts."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from tenantapp.fleet.migrating.fence import hold_fences
from tenantapp.fleet.migrating.ledger import renew
from tenantapp.fleet.migrating.orders import Order
from tenantapp.fleet.operations.lease_keeper import RENEW_EVERY
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenancyError


@contextmanager
def leases_kept(user_db: DBFactory, owner: str, at_work: Callable[[], list[Order]]) -> Iterator[None]:
    """Renew the owner's claims, and move the fences of what ``at_work`` returns on, until the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=_keep, args=(user_db, owner, at_work, over), name=f"leases {owner}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _keep(user_db: DBFactory, owner: str, at_work: Callable[[], list[Order]], over: threading.Event) -> None:
    while not over.wait(RENEW_EVERY):
        try:
            with user_db.begin() as session:
                renew(session, owner)
                orders = at_work()
                for snapshot in (False, True):
                    tenants = [order.tenant_id for order in orders if order.snapshot == snapshot]
                    hold_fences(session.connection(), tenants, snapshot=snapshot)
        except (TenancyError, DBAPIError):
            continue  # tried again before the leases run out
