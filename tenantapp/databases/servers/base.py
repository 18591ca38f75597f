"""What can be done with the databases of a server, whatever the engine."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tenantapp.databases.servers.templates import Template

TENANT_PREFIX: Final = "tenant_"
SCRATCH_PREFIX: Final = "scratch_"


@dataclass(frozen=True, slots=True)
class FoundDatabase:
    """A tenant, template or scratch database that a server has, or what there is of one.

    ``whole`` is false when it is only the role, on SQLite a file that was not finished. ``mark`` is that of the
    installation that made it.
    """

    name: str
    mark: str | None
    whole: bool = True


class ServerDatabases(ABC):
    """The databases of a server. Their names are made by the program.

    Every method may raise ``ProvisioningFailed``, ``DatabaseUnreachable`` and ``DatabaseBusy``.
    """

    @abstractmethod
    def create(self, database: str, mark: str = "") -> None:
        """Make an empty database that ``server.tenant_url`` leads to, with our mark. One that is there is refused.

        When it fails, ``drop`` removes what it left.
        """

    @abstractmethod
    def prepare(self, database: str, mark: str) -> None:
        """Make what a database needs that is about to be filled, with our mark; nothing is done twice.

        On PostgreSQL that is an empty database, on SQLite only the directory: the file appears when it is whole.
        """

    @abstractmethod
    def drop(self, database: str) -> None:
        """Remove a database and all that belongs to it, whoever is connected. One that is not there is no error."""

    @abstractmethod
    def ensure_template(self, template: Template) -> None:
        """Make a template, if it is not there, and remove the old ones. Also raises what building it raises."""

    @abstractmethod
    def drop_template(self, template: str) -> None:
        """Remove a template, once nobody is building it. One that is not there is no error."""

    @abstractmethod
    def copy_template(self, template: str, database: str, tenant_id: UUID, mark: str) -> None:
        """Make a tenant's database from a template that is there, with the tenant's identity in it, and our mark.

        May be killed anywhere and called again, and leaves alone what is finished already. Also raises
        ``TemplateMissing``.
        """

    @abstractmethod
    def close(self, database: str, patience: float) -> None:
        """Let nobody write to a tenant's database any more, of those who come as the application does.

        Their requests are fenced off already; those that were let in before have ``patience`` seconds to end.
        PostgreSQL: nobody can connect as the tenant's role, and who is connected is cut off as soon as no transaction
        of theirs is open, or at the end of that time. SQLite: the identity becomes nobody's, once whoever
        has the lock has ended; who gets it afterwards finds that out, and writes nothing.
        """

    @abstractmethod
    def reopen(self, database: str) -> None:
        """Undo ``close``, if it was done."""

    @abstractmethod
    def exists(self, database: str) -> bool:
        """Whether there is such a database."""

    @abstractmethod
    def found(self) -> list[FoundDatabase]:
        """The tenants' databases, the templates and the scratch databases on the server, by name."""
