"""Keeping the claims and the fences of a run of migrations while it lasts."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

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

    def keep() -> None:
        with user_db.begin() as session:
            renew(session, owner)
            orders = at_work()
            for snapshot in (False, True):
                tenants = [order.tenant_id for order in orders if order.snapshot == snapshot]
                hold_fences(session.connection(), tenants, snapshot=snapshot)

    with _repeated(keep, f"leases {owner}"):
        yield


@contextmanager
def fence_kept(user_db: DBFactory, tenant_id: UUID, *, snapshot: bool = False) -> Iterator[None]:
    """Move the fence of one tenant on until the block ends; its claim is kept by whoever works on the operation."""

    def keep() -> None:
        with user_db.engine.connect() as connection:
            hold_fences(connection, [tenant_id], snapshot=snapshot)

    with _repeated(keep, f"fence of {tenant_id}"):
        yield


@contextmanager
def _repeated(keep: Callable[[], None], name: str) -> Iterator[None]:
    """Call it every few seconds. When the user database does not answer, it is tried again before a lease runs out."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(RENEW_EVERY):
            with suppress(TenancyError, DBAPIError):
                keep()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
