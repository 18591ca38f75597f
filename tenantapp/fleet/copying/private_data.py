"""Remove private data from copies. The domain knows what is private in its own tables."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from sqlalchemy import ForeignKey, MetaData, delete, update
from sqlalchemy.orm import Session

from tenantapp.databases.connections.migration_connections import check_foreign_keys, migration_connection
from tenantapp.databases.histories.targets import Target
from tenantapp.fleet.copying.originals import identities_of
from tenantapp.fleet.errors import CopyFailed, CopyRefused
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.settings import Settings
from tenantapp.tenancy.known_tables import has_table
from tenantapp.tenancy.models import (
    Change,
    ChangeCounter,
    IdempotencyKey,
    TenantDelivery,
    TenantFile,
    TenantJob,
    TenantWebhook,
)
from tenantapp.tenancy.searching import fill_words, words_name, words_tables

MODULE: Final = "private_data"
FUNCTION: Final = "remove_private_data"


def private_data_remover(settings: Settings) -> Callable[[Session], None]:
    """Return the domain's function ``remove_private_data``, from its module ``private_data``.

    Raises ``CopyRefused`` if the domain has none.
    """
    name = f"{settings.tenantapp_domain}.{MODULE}"
    remover = getattr(import_module(name), FUNCTION, None) if find_spec(name) else None
    if remover is None:
        raise CopyRefused(
            f"The domain {settings.tenantapp_domain} cannot remove private data: there is no {FUNCTION} in {name}."
        )
    found: Callable[[Session], None] = remover
    return found


@checkpoint("copy.remove_private_data")
def remove_private_data(settings: Settings, target: Target) -> None:
    """Let the domain remove private data from a database, in one transaction.

    On SQLite the free pages, which still hold the data, are removed as well. If the database has an identity already,
    an earlier attempt finished this, and nothing is done. Raises ``CopyFailed``, what connections raise, and what the
    domain's function raises.
    """
    remover = private_data_remover(settings)
    with migration_connection(target.url, target.name, failure=CopyFailed) as connection:
        with Session(connection, autoflush=False) as session, session.begin():
            if identities_of(session.connection()):
                return
            remover(session)
            session.flush()
            _remove_people(session, target.metadata)
            _write_words_again(session, target)
            check_foreign_keys(connection, target.name, CopyFailed)
        if connection.dialect.name == "sqlite":
            # Outside a transaction: SQLAlchemy would begin one.
            driver: Any = connection.connection.driver_connection
            driver.execute("VACUUM")
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _remove_people(session: Session, metadata: MetaData) -> None:
    """Remove what the core tables say about people: who changed what, answers, jobs, files, webhooks."""
    if has_table(session, Change.__tablename__):
        session.execute(delete(Change))
        session.execute(update(ChangeCounter).values(removed=ChangeCounter.position))
    if has_table(session, IdempotencyKey.__tablename__):
        session.execute(delete(IdempotencyKey))
    if has_table(session, TenantJob.__tablename__):
        session.execute(delete(TenantJob))
    if has_table(session, TenantFile.__tablename__):
        # Nobody knows what is in files. Their content is not carried either.
        _empty_references_to_files(session, metadata)
        session.execute(delete(TenantFile))
    if has_table(session, TenantWebhook.__tablename__):
        session.execute(delete(TenantDelivery))
        session.execute(delete(TenantWebhook))


def _empty_references_to_files(session: Session, metadata: MetaData) -> None:
    """Empty the columns that refer to files. The domain has deleted the rows that cannot be without a file."""
    referring = {key.parent for table in metadata.sorted_tables for key in table.foreign_keys if _is_of_file(key)}
    for column in referring:
        if column.nullable and has_table(session, column.table.name):
            session.execute(update(column.table).values({column: None}))


def _is_of_file(key: ForeignKey) -> bool:
    return key.column.table.name == TenantFile.__tablename__


def _write_words_again(session: Session, target: Target) -> None:
    """Write the words of all searched rows again: those of texts that were removed must not stay in the index."""
    for name, columns in words_tables(target.metadata).items():
        if has_table(session, words_name(name)):
            fill_words(session.connection(), name, columns)
