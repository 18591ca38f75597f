"""The installation a command works on: what the ini file and the environment say, and the application made of it."""

import configparser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import plaster
from pyramid.exceptions import ConfigurationError, ConfigurationExecutionError
from pyramid.paster import get_app
from sqlalchemy.orm import Session

from tenantapp.cli.failures import CommandFailed
from tenantapp.settings import Settings, read_settings


@dataclass
class Installation:
    """Read when a command first asks for it, so that ``--help`` needs neither an ini file nor a database."""

    ini: Path

    @cached_property
    def settings(self) -> Settings:
        """The settings, without the application: it looks for databases, and ``init`` is yet to make them.

        Raises ``CommandFailed`` and ``SettingsError``.
        """
        return read_settings(self._values)

    @cached_property
    def http_port(self) -> str | None:
        """The variable ``http_port`` of the ini file."""
        port: str | None = self._values.global_conf.get("http_port")
        return port

    @cached_property
    def registry(self) -> Any:
        """The registry of the application, started as ``pserve`` starts it. Raises ``CommandFailed``."""
        with self._readable():
            try:
                return get_app(str(self.ini)).registry
            except SystemExit as refusal:
                if not isinstance(refusal.code, str):
                    raise  # a signal that came meanwhile
                raise CommandFailed(str(refusal.code).removeprefix("tenantapp: ")) from None
            except ConfigurationError as error:
                raise CommandFailed(f"The application does not start: {_mistake(error)}") from error

    @contextmanager
    def user_session(self, *, read_only: bool = False) -> Iterator[Session]:
        """A session on the user database: commits at the end of the block, rolls back on an exception."""
        with self.registry.user_db.begin(read_only=read_only) as session:
            yield session

    def close(self) -> None:
        """Close the connections to the databases, if any were made."""
        if "registry" in self.__dict__:
            self.registry.user_db.dispose()
            self.registry.access_reader.database.dispose()
            self.registry.tenant_dbs.dispose()

    @cached_property
    def _values(self) -> Any:
        with self._readable():
            return plaster.get_loader(str(self.ini), protocols=["wsgi"]).get_wsgi_app_settings()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        if not self.ini.is_file():
            raise CommandFailed(f"There is no file {self.ini}; name the configuration with --ini or TENANTAPP_INI")
        try:
            yield
        except (configparser.Error, LookupError, plaster.PlasterError) as error:
            # LookupError: PasteDeploy's way to say that a section or an entry point is missing.
            reason = " ".join(str(error).split())
            raise CommandFailed(f"The file {self.ini} is not a configuration: {reason}") from error


pass_installation = click.make_pass_decorator(Installation)


def _mistake(error: ConfigurationError) -> str:
    """What Pyramid refuses, and the line of the builder's code that says it."""
    if isinstance(error, ConfigurationExecutionError):
        return f"{error.evalue} ({str(error.info).splitlines()[0].rstrip(':')})"
    return str(error)
