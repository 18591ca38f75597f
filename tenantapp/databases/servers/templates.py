"""Template databases: one on each server, at the newest revision. New tenant databases are copies of it.

Nobody connects to a finished template, and it is never migrated. If the newest revision, the text of a migration
or the extensions of the server change, a new template replaces it.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import create_engine, inspect, select
from sqlalchemy.engine import URL, Connection
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from tenantapp.databases.errors import HistoryError
from tenantapp.databases.histories.histories import head_revision, history_digest
from tenantapp.databases.histories.targets import Target, Watch
from tenantapp.databases.histories.upgrading import upgrade
from tenantapp.databases.models import Installation
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.sql.postgres_connections import CONNECT_ARGUMENTS
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.servers import PostgresServer, Server

PREFIX: Final = "template_"
MARK_PREFIX: Final = "tenantapp "


@dataclass(frozen=True, slots=True)
class Template:
    """The name and the content of a template.

    ``known`` has the prefixes of all our templates, the older ones too. ``watch`` watches the revisions of a new one.
    """

    settings: Settings
    name: str
    revision: str
    mark: str
    known: tuple[str, ...]
    watch: Callable[[Connection], Watch] | None = None

    def is_old(self, name: str) -> bool:
        """Return whether the template of this name is one of ours that this one replaces."""
        return name != self.name and name.startswith(self.known)

    @checkpoint("template.build")
    def build(self, url: URL) -> None:
        """Fill an empty database. Raises ``HistoryError`` and what a migration raises.

        It is not compared with the structure that its revision should have. That structure is found in the same way, by
        running the history in an empty database of the same server (schemas.expected).
        """
        upgrade(Target(self.settings, "tenant", "the template database", url, watch=self.watch))
        table = TenantIdentity.__tablename__
        arguments = CONNECT_ARGUMENTS if url.get_backend_name() == "postgresql" else {}
        engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
        with engine.connect() as connection:
            if not inspect(connection).has_table(table):
                raise HistoryError(f"The tenant history makes no table {table}, which every tenant database needs.")


def installation_mark(session: Session) -> str:
    """Return the mark for the roles and directories of this installation. ``session`` is on the user database."""
    return f"{MARK_PREFIX}{session.scalars(select(Installation.id)).one()}"


def current_template(fleet: Fleet, mark: str, server: Server) -> Template:
    """Return the template for tenants that are made on a server now. Raises ``HistoryError``."""
    head = head_revision(fleet.settings, "tenant")
    history = history_digest(fleet.settings, "tenant")
    ours = f"{PREFIX}{mark[-12:]}_"
    # Templates of a newer version are not ours to remove: it may run beside this version for a while.
    known = tuple(f"{ours}{_word(revision)}_" for revision in history.revisions)
    digest = _digest(history.digest, server)
    return Template(fleet.settings, f"{ours}{_word(head)}_{digest[:12]}", head, mark, known)


def _digest(history: str, server: Server) -> str:
    """Return the digest of all that a template on a server is made of."""
    if not isinstance(server, PostgresServer) or not server.extensions:
        return history
    return hashlib.sha256(" ".join((history, *server.extensions)).encode()).hexdigest()


def _word(revision: str) -> str:
    """Return a revision as a part of a name. A history may use any characters in its revisions."""
    return re.sub(r"[^0-9a-z]", "", revision.lower())[:20]
