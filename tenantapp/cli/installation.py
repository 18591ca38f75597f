"""The installation that a command works on: its settings, its user database and its servers."""

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
        from tenantapp.operations.fleet import fleet_of

        return fleet_of(self.settings)

    @contextmanager
    def user_session(self, *, read_only: bool = False) -> Iterator["Session"]:
        """Yield a session on the user database. Commits when the block ends, and rolls back on an exception."""
        with self.fleet.user_db.begin(read_only=read_only) as session:
            yield session

    def close(self) -> None:
        """Close the connections to the user database, if there are any."""
        if "fleet" in self.__dict__:
            self.fleet.user_db.dispose()

    @cached_property
    def _configuration(self) -> "Configuration":
        from tenantapp.configuration import read_configuration

        return read_configuration(self.ini)


pass_installation = click.make_pass_decorator(Installation)
