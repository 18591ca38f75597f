"""The objects that all work on the fleet needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tenantapp.domain_declarations import load_domain
from tenantapp.settings import BUNDLED_DOMAIN, Settings
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.servers import Servers
from tenantapp.tenancy.user_database import user_database
from tenantapp.trace_context import WorkTracer


@dataclass(frozen=True)
class Fleet:
    """The user database, the settings, and the servers that hold the tenant databases.

    ``registry`` is that of the web application, if this process has one. ``tracing`` traces the work of a process that
    has none.
    """

    user_db: DBFactory
    settings: Settings
    servers: Servers
    registry: Any = field(default=None, repr=False, compare=False)
    tracing: WorkTracer | None = field(default=None, repr=False, compare=False)

    @property
    def tracer(self) -> WorkTracer | None:
        """Return what traces the work of this process, if it is traced."""
        return self.tracing or getattr(self.registry, "tracing", None)

    @property
    def may_declare(self) -> bool:
        """Return whether the domain may declare what work on the fleet needs. The bundled domain does not."""
        return self.registry is not None or self.settings.tenantapp_domain != BUNDLED_DOMAIN

    @cached_property
    def declared(self) -> Any:
        """Return the registry that has what the domain declared in its ``includeme``.

        Without a web application, the first use loads Pyramid and the domain, which takes about a second. So ask only
        if the work needs it, and if ``may_declare``. Use nothing but declarations: the databases on that registry are
        not those of this fleet. Raises ``SettingsError`` if the domain cannot be loaded.
        """
        return self.registry if self.registry is not None else load_domain(self.settings)


def fleet_of(settings: Settings) -> Fleet:
    """Return the fleet of these settings, for a program without the application. It opens no connection."""
    return Fleet(user_database(settings.user_db_url), settings, Servers.of(settings))


@contextmanager
def opened_fleet(settings: Settings) -> Iterator[Fleet]:
    """Yield the fleet of these settings. When the block ends, the connections to the user database are closed."""
    fleet = fleet_of(settings)
    try:
        yield fleet
    finally:
        fleet.user_db.dispose()


def time_of_requests(settings: Settings) -> float:
    """Return how many seconds to wait, after a fence goes up, for the requests that were let in before.

    A request that waits for a connection gets one within ``connections.timeout`` seconds, or is refused. It then has
    ``fleet.patience`` seconds to finish.
    """
    return settings.connections_timeout + settings.fleet_patience
