"""The installation that a command works on: its settings, its user database and its servers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from tenantapp.configuration import Configuration
    from tenantapp.operations.fleet import Fleet
    from tenantapp.settings import Settings
    from tenantapp.tenancy.access import Access
    from tenantapp.tenancy.databases import TenantDatabases
    from tenantapp.tracing.commands import LateTracing

Given = ParamSpec("Given")
Returned = TypeVar("Returned")


@dataclass
class Installation:
    """The installation that an ini file and the environment describe.

    Everything is read when a command first needs it, so ``--help`` needs neither an ini file nor a database. No
    application is made. The settings are checked as ``pserve`` checks them.
    """

    ini: Path

    @cached_property
    def settings(self) -> "Settings":
        """Return the checked settings. Raises ``SettingsError``."""
        settings = self._configuration.settings
        if settings.migrations_oldest is not None:
            from tenantapp.databases.histories.revisions import outdated_revisions

            outdated_revisions(settings)
        return settings

    @property
    def http_port(self) -> str | None:
        """Return the variable ``http_port`` of the ini file, or None."""
        return self._configuration.variables.get("http_port")

    @cached_property
    def fleet(self) -> "Fleet":
        """Return the user database and the servers. Opens no connection. Raises ``SettingsError``."""
        from dataclasses import replace

        from tenantapp.operations.fleet import fleet_of

        return replace(fleet_of(self.settings), tracing=self.tracing)

    @cached_property
    def tracing(self) -> "LateTracing | None":
        """Return what traces the work of this process, if the settings say where to. Raises ``SettingsError``."""
        from tenantapp.tracing.commands import LateTracing

        endpoint = self.settings.opentelemetry_endpoint
        return None if endpoint is None else LateTracing(endpoint, self.settings.opentelemetry_sample)

    @contextmanager
    def user_session(self, *, read_only: bool = False) -> Iterator["Session"]:
        """Yield a session on the user database. Commits when the block ends, and rolls back on an exception."""
        with self.fleet.user_db.begin(read_only=read_only) as session:
            yield session

    def access(self, slug: str, *, login: str | None = None) -> "Access":
        """Return an access to a tenant: with ``login`` what this person may do, without it every permission.

        Raises ``NotFound``, and ``TenantRefused`` if the person may not enter the tenant.
        """
        from tenantapp.identity.local_access import local_access

        with self.user_session(read_only=True) as session:
            return local_access(session, slug, login=login)

    @contextmanager
    def tenant_session(self, access: "Access", *, read_only: bool = False) -> Iterator["Session"]:
        """Yield a session on the database of the access's tenant, on connections of its own.

        Commits when the block ends, and rolls back on an exception.
        """
        with tenant_databases(self.fleet) as databases, databases.begin(access, read_only=read_only) as session:
            yield session

    @property
    def domain_settings(self) -> Mapping[str, Any]:
        """Return the values of the domain's own settings. Loads the domain, which takes about a second."""
        settings: Mapping[str, Any] = self.fleet.declared.domain_settings
        return settings

    def enqueue(self, session: "Session", access: "Access", name: str, arguments: Mapping[str, Any]) -> "UUID":
        """Queue a job of the access's tenant in the transaction of the session, and return its id.

        Loads the domain. Raises ``UnknownJob``.
        """
        from tenantapp.work.queue import enqueue

        fleet = self.fleet
        return enqueue(session, access.require_tenant(), fleet.declared.jobs, fleet.user_db, name, arguments)

    def close(self) -> None:
        """Close the connections to the user database, if there are any, and send the last spans."""
        if "fleet" in self.__dict__:
            self.fleet.user_db.dispose()
            if self.tracing is not None:
                self.tracing.finish()

    @cached_property
    def _configuration(self) -> "Configuration":
        from tenantapp.configuration import read_configuration

        return read_configuration(self.ini)


@contextmanager
def tenant_databases(fleet: "Fleet") -> "Iterator[TenantDatabases]":
    """Yield the databases of the tenants for a command, on connections of its own. The files that it deletes go too."""
    from tenantapp.work.worker import worker_databases

    def remove(tenant_id: "UUID", file_id: "UUID") -> None:
        from tenantapp.files.removed import remove_bytes

        remove_bytes(fleet.settings, tenant_id, file_id)

    with worker_databases(fleet) as databases:
        databases.on_file_removed = remove
        yield databases


def pass_installation(command: Callable[Concatenate[Installation, Given], Returned]) -> Callable[Given, Returned]:
    """Give a command the installation that it works on, as its first argument. This is a decorator."""
    return click.make_pass_decorator(Installation)(command)
