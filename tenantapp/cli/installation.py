"""The installation a command works on: what the ini file and the environment say, and the databases they name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tenantapp.configuration import Configuration
    from tenantapp.operations.fleet import Fleet
    from tenantapp.settings import Settings


@dataclass
class Installation:
    """Read when a command first asks for it, so that ``--help`` needs neither an ini file nor a database.

    No application is made: no command asks a view. The settings are checked as ``pserve`` checks them.
    """

    ini: Path

    @cached_property
    def settings(self) -> "Settings":
        """The settings. Raises ``SettingsError``."""
        settings = self._configuration.settings
        if settings.migrations_oldest is not None:
            from tenantapp.databases.histories.revisions import outdated_revisions

            outdated_revisions(settings)
        return settings

    @property
    def http_port(self) -> str | None:
        """The variable ``http_port`` of the ini file."""
        return self._configuration.variables.get("http_port")

    @cached_property
    def fleet(self) -> "Fleet":
        """The user database and the servers. Nothing connects yet. Raises ``SettingsError``."""
        from tenantapp.operations.fleet import fleet_of

        return fleet_of(self.settings)

    @contextmanager
    def user_session(self, *, read_only: bool = False) -> Iterator["Session"]:
        """A session on the user database: commits at the end of the block, rolls back on an exception."""
        with self.fleet.user_db.begin(read_only=read_only) as session:
            yield session

    def close(self) -> None:
        """Close the connections to the user database, if any were made."""
        if "fleet" in self.__dict__:
            self.fleet.user_db.dispose()

    @cached_property
    def _configuration(self) -> "Configuration":
        from tenantapp.configuration import read_configuration

        return read_configuration(self.ini)


pass_installation = click.make_pass_decorator(Installation)
