"""What is used, as the API shows it."""

from datetime import datetime
from uuid import UUID

from tenantapp.answers import Answer
from tenantapp.usage.models import Databases


class HourOfUsage(Answer):
    """What was used in the hour that begins at ``hour``: by one tenant, or by all together.

    ``milliseconds`` is the whole time of the requests, ``database_milliseconds`` what they waited of it for databases
    of tenants.
    """

    hour: datetime
    requests: int
    milliseconds: int
    database_milliseconds: int
    bytes_sent: int
    rows_written: int


class TenantUsage(HourOfUsage):
    """What a tenant has used in a period. ``hour`` is the last one in which it was used.

    ``slug`` is its present one, or the last one of a tenant that was removed.
    """

    tenant_id: UUID
    slug: str


class ProcessConnections(Answer):
    """The connections of a process to a server, or to the user database, for which ``server`` is null.

    A process has two pools for the user database, whose figures are added up here.
    ``waited``, ``evicted`` and ``refused`` only grow while the process lives. ``silent``: it takes the server for
    one that does not answer.
    """

    server: str | None
    silent: bool
    limit: int
    open: int
    idle: int
    waiting: int
    waited: int
    evicted: int
    refused: int


class ServingProcess(Answer):
    """A process that serves: its threads, the requests that it serves now, and those of them that wait for long."""

    id: str
    host: str
    process: int
    begun_at: datetime
    seen_at: datetime
    threads: int
    busy: int
    slow: int
    connections: list[ProcessConnections]


class Standby(Answer):
    """A standby as its primary sees it. ``bytes`` are those of the log that it has not replayed yet.

    ``state`` is that of PostgreSQL, or ``disconnected`` if only the slot of the standby was left. All is null if the
    role of the settings must not see it.
    """

    name: str
    address: str | None
    state: str | None
    sync_state: str | None
    bytes: int | None
    seconds: float | None


class Replication(Answer):
    """A PostgreSQL server and its standbys. ``server`` is null for that of the user database, if no tenant is on it."""

    server: str | None
    standbys: list[Standby]


class Statement(Answer):
    """How often a statement was executed for requests in a period, and how long that took.

    ``statement`` is its text with a question mark in the place of each value.
    """

    database: Databases
    statement: str
    calls: int
    milliseconds: float
    worst_milliseconds: float
