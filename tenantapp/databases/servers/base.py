"""What can be done with the databases of a server, on both engines."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tenantapp.databases.servers.templates import Template

TENANT_PREFIX: Final = "tenant_"
SCRATCH_PREFIX: Final = "scratch_"
REPLICATION_PREFIX: Final = "replication_"


def replication_role(database: str) -> str:
    """Return the name of the role with which a new database is filled by replication."""
    return REPLICATION_PREFIX + database.removeprefix(TENANT_PREFIX)


@dataclass(frozen=True, slots=True)
class FoundDatabase:
    """A tenant, template or scratch database that was found on a server, perhaps incomplete.

    ``whole`` is false if only the role is there, or on SQLite only an unfinished file. ``mark`` is the mark of the
    installation that made it.
    """

    name: str
    mark: str | None
    whole: bool = True


class ServerDatabases(ABC):
    """The databases of a server. The program chooses their names.

    Every method may raise ``ProvisioningFailed``, ``DatabaseUnreachable`` and ``DatabaseBusy``.
    """

    @abstractmethod
    def create(self, database: str, mark: str = "") -> None:
        """Make an empty database with our mark, for ``server.tenant_url`` to lead to. Refuse one that exists.

        If it fails, ``drop`` removes what it left.
        """

    @abstractmethod
    def prepare(self, database: str, mark: str) -> None:
        """Make what a database needs before it is filled, with our mark. What is there already is kept.

        On PostgreSQL this is an empty database. On SQLite it is only the directory: the file appears when it is
        complete.
        """

    @abstractmethod
    def drop(self, database: str) -> None:
        """Remove a database and all that belongs to it, even if clients are connected. A missing one is no error."""

    @abstractmethod
    def ensure_template(self, template: Template) -> None:
        """Make a template if it is missing, and then remove old ones. Also raises what building it raises."""

    @abstractmethod
    def drop_template(self, template: str) -> None:
        """Remove a template, once nobody is building one. A missing one is no error."""

    @abstractmethod
    def copy_template(self, template: str, database: str, tenant_id: UUID, mark: str) -> None:
        """Copy a template into a tenant's database, with the tenant's identity in it and our mark on it.

        If the process dies, the method can be called again. It leaves alone what is finished. Also raises
        ``TemplateMissing``.
        """

    @abstractmethod
    def close(self, database: str, patience: float) -> None:
        """Stop all writing to a tenant's database by clients that connect as the application does.

        The fence is up already. Requests that were let in before have ``patience`` seconds to end. On PostgreSQL the
        tenant's role can no longer log in. Its connections are ended when none has an open transaction, or when the
        time is over. On SQLite, after that time and once the write lock is free, the identity is made invalid. The next
        writer sees that, and writes nothing.
        """

    @abstractmethod
    def reopen(self, database: str) -> None:
        """Undo ``close``, if it was done."""

    @abstractmethod
    def exists(self, database: str) -> bool:
        """Return whether there is such a database."""

    @abstractmethod
    def size(self, database: str) -> int | None:
        """Return the bytes that a database takes on the server's disk, or None if there is no such database."""

    @abstractmethod
    def sizes(self, databases: Sequence[str]) -> dict[str, int]:
        """Return what ``size`` returns for several databases. Those that do not exist are left out."""

    @abstractmethod
    def found(self) -> list[FoundDatabase]:
        """Return the tenant, template and scratch databases on the server, by name."""
