"""Accept that a SQLite file lacks commits, so that it is used again."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tenantapp.fleet.errors import LossNotAccepted
from tenantapp.identity.audit import record
from tenantapp.identity.tenants import get_tenant, renew_epochs
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.commit_counts import accepting
from tenantapp.tenancy.servers import SqliteServer


def accept_loss(fleet: Fleet, slug: str) -> str:
    """Serve a tenant from what its database has now, and return what is lost.

    The tenant gets a new epoch, because versions may return with other content. Raises ``NotFound`` and
    ``LossNotAccepted``.
    """
    with fleet.user_db.begin(read_only=True) as session:
        tenant = get_tenant(session, slug)
        server = fleet.servers[tenant.server]
        database = tenant.database
    if not isinstance(server, SqliteServer):
        raise LossNotAccepted(f"tenant {slug}", f"the server {server.name} does not have SQLite files")
    with _accepting(server.path(database), f"tenant {slug}") as lost, fleet.user_db.begin() as session:
        (tenant,) = renew_epochs(session, [slug])
        record(session, "loss.accept", tenant_id=tenant.id, slug=slug, detail={"lost": lost})
    return lost


def accept_loss_of_people(fleet: Fleet) -> str:
    """Use the user database as its file is now, give all tenants a new epoch, and return what is lost.

    Raises ``LossNotAccepted``.
    """
    name, url = "the user database", fleet.settings.user_db_url
    if url.get_backend_name() != "sqlite":
        raise LossNotAccepted(name, "it is not a SQLite file")
    with _accepting(Path(str(url.database)), name) as lost:
        pass
    with fleet.user_db.begin() as session:
        renew_epochs(session)
        record(session, "loss.accept", detail={"lost": lost})
    return lost


@contextmanager
def _accepting(path: Path, name: str) -> Iterator[str]:
    try:
        with accepting(path) as lost:
            if lost is None:
                raise LossNotAccepted(name, "no commit is lost")
            yield lost
    except (sqlite3.Error, OSError) as error:
        raise LossNotAccepted(name, str(error)) from error
