"""Copies without people: the domain says what is private, and takes it away."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from sqlalchemy.orm import Session

from tenantapp.databases.connections.migration_connections import check_foreign_keys, migration_connection
from tenantapp.databases.histories.targets import Target
from tenantapp.fleet.copying.originals import identities_of
from tenantapp.fleet.errors import CopyFailed, CopyRefused
from tenantapp.settings import Settings

MODULE: Final = "private_data"
FUNCTION: Final = "remove_private_data"


def private_data_remover(settings: Settings) -> Callable[[Session], None]:
    """What the domain removes private data with: ``remove_private_data`` of its module ``private_data``.

    Raises ``CopyRefused`` if the domain has none.
    """
    name = f"{settings.tenantapp_domain}.{MODULE}"
    remover = getattr(import_module(name), FUNCTION, None) if find_spec(name) else None
    if remover is None:
        raise CopyRefused(
            f"The domain {settings.tenantapp_domain} does not say what is private: there is no {FUNCTION} in {name}."
        )
    found: Callable[[Session], None] = remover
    return found


def remove_private_data(settings: Settings, target: Target) -> None:
    """Have the domain remove what is private from a database, in one transaction.

    SQLite would keep it in pages that are free now; they are removed as well. Nothing happens to one that is a tenant's
    already: another attempt has come to the end of this. Raises ``CopyFailed``, what connections raise, and what the
    domain's function does.
    """
    remover = private_data_remover(settings)
    with migration_connection(target.url, target.name, failure=CopyFailed) as connection:
        with Session(connection, autoflush=False) as session, session.begin():
            if identities_of(session.connection()):
                return
            remover(session)
            session.flush()
            check_foreign_keys(connection, target.name, CopyFailed)
        if connection.dialect.name == "sqlite":
            # Not in a transaction, which is what SQLAlchemy would begin.
            driver: Any = connection.connection.driver_connection
            driver.execute("VACUUM")
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
