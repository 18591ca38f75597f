"""What a process knows of the replicas of a server: how far they have replayed its write-ahead log, and how far behind
they may be.

No request asks for that as a rule. A server and its replica are asked at most every second, on the connections of the
request that comes just then, and the answers count for the requests of all tenants.

A replica has a lag of at most the time since the server was asked for a position that the replica is now known to have
replayed. No clocks of servers are compared, and a replica that nobody hears of falls behind by itself.
"""

import logging
from collections import deque
from collections.abc import Mapping
from hashlib import blake2b
from threading import Lock
from time import monotonic
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from tenantapp.settings import Settings
from tenantapp.sql.errors import ConnectionsSpent, SqlError
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.positions import Log, parse_lsn
from tenantapp.tenancy.replication import (
    NO_STANDBY,
    REPLAYED,
    ReplicaRow,
    ServerPosition,
    Unasked,
    ask_replica,
    ask_server,
    hurried,
    refusal,
)
from tenantapp.tenancy.server_engines import ServerEngines, engines_on
from tenantapp.tenancy.servers import PostgresServer, Servers

log = logging.getLogger(__name__)

ASK_EVERY: Final = 1.0  # seconds at most; and four times in the lag that is allowed
ASKS_IN_LAG: Final = 4
SAMPLES: Final = 64  # positions of the server that a replica has yet to replay
MOST_LAG: Final = 5.0  # seconds
# Seconds after which a replica that has begun again may be a new one, and its log another. No request takes as long.
FORGOTTEN_AFTER: Final = 60.0
MOST_AVOIDED: Final = 1000  # tenants, before those are forgotten that may read again


class Lag:
    """How long ago a server was where its replica is known to be now. More than ``most`` seconds are too many."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)  # when the server was where
        self._caught_up_at = float("-inf")

    def note(self, asked_at: float, flushed: int, replayed: int) -> None:
        """Note that the server had written the log up to ``flushed``, and the replica has replayed it to ``replayed``.

        ``asked_at`` is when the server was asked, in seconds of a monotonic clock.
        """
        while self._samples and self._samples[0][1] <= replayed:
            self._caught_up_at = self._samples.popleft()[0]
        if flushed <= replayed:
            self._caught_up_at = asked_at
        elif not self._samples or asked_at - self._samples[-1][0] >= self._most / SAMPLES:
            self._samples.append((asked_at, flushed))

    def is_small(self, now: float) -> bool:
        """Return whether the lag is not more than is allowed. If nothing was noted for long, it is not known to be."""
        return now - self._caught_up_at <= self._most

    def forget(self) -> None:
        """Forget all that was noted."""
        self._samples.clear()
        self._caught_up_at = float("-inf")


class Replica:
    """A standby of a server. ``most_lag`` and ``probe_pause`` are in seconds."""

    def __init__(
        self,
        address: str,
        server: PostgresServer,
        engines: ServerEngines,
        *,
        most_lag: float,
        probe_pause: float,
    ) -> None:
        self.address, self.server, self.engines = address, server, engines
        self._lag, self._probe_pause = Lag(most_lag), probe_pause
        self._ask_every = min(ASK_EVERY, most_lag / ASKS_IN_LAG)
        self._asking = Lock()
        self._due_at = float("-inf")
        self._refused: str | None = None
        self._avoided: dict[UUID, float] = {}
        self._heard_at = float("-inf")
        self.log: Log | None = None
        """The log that the server writes and the replica replays, or None if that is not known."""
        self.replayed = 0
        """How far the replica has replayed the log, as far as is known."""

    def avoid(self, tenant_id: UUID) -> None:
        """Let a tenant read nothing here for a while: a read has failed."""
        now = monotonic()
        if len(self._avoided) >= MOST_AVOIDED:
            self._avoided = {each: until for each, until in list(self._avoided.items()) if until > now}
        self._avoided[tenant_id] = now + self._probe_pause

    def is_avoided(self, tenant_id: UUID) -> bool:
        """Return whether a read of this tenant has failed here lately."""
        until = self._avoided.get(tenant_id)
        return until is not None and until > monotonic()

    def connected(self, connection: Any) -> None:
        """Look at a new connection of the driver. Raises ``Unasked`` if less is replayed than before.

        A standby that was killed takes connections when its files are consistent. Then it may have to replay again what
        it had replayed before, and requests have decided by that. The connections from before have ended.
        """
        for _ in range(2):
            known = self.replayed
            with connection.cursor() as cursor:
                cursor.execute(REPLAYED)
                text = cursor.fetchone()[0]
            here = 0 if text is None else parse_lsn(text)
            if here >= self.replayed:
                return
        # Others may have heard more while it answered: what was known before the second question counts.
        if here >= known:
            return
        if monotonic() - self._heard_at < FORGOTTEN_AFTER:
            raise Unasked("it has begun again, and has replayed less than before")
        self._forget()
        self.replayed = 0

    def keep_up(self, server: DBFactory, replica: DBFactory) -> None:
        """Ask the server and the replica where they are, if it is time. Only one thread does; the others go on.

        The factories are those of one tenant's database. Raises what reading raises.
        """
        if monotonic() < self._due_at or not self._asking.acquire(blocking=False):
            return
        try:
            self._due_at = monotonic() + self._probe_pause  # if it fails
            began = monotonic()
            try:
                with hurried():
                    there, here = ask_server(server), ask_replica(replica)
            except Unasked as error:
                self._refuse(str(error))
                return
            except ConnectionsSpent:
                # That says nothing of the replica, which may be read meanwhile. Another tenant may ask soon.
                self._due_at = monotonic() + self._ask_every
                return
            except SqlError:
                self._due_at = monotonic() + self._ask_every  # it may be this tenant's trouble alone
                raise
            self._note(began, there, here)
            self._due_at = monotonic() + self._ask_every
        finally:
            self._asking.release()

    def has_replayed(self, lsn: int, replica: DBFactory) -> bool:
        """Return whether the replica has replayed this position. If it is not known to, the replica is asked.

        Raises what reading raises.
        """
        if self.replayed >= lsn:
            return True
        try:
            with hurried():
                here = ask_replica(replica)
        except Unasked:
            return False
        if not here.is_standby or here.replayed is None:
            return False
        self._heard(parse_lsn(here.replayed))
        return self.replayed >= lsn

    def is_near(self) -> bool:
        """Return whether the replica lags by no more than is allowed, as far as is known."""
        return self.log is not None and self._lag.is_small(monotonic())

    def _note(self, began: float, there: ServerPosition, here: ReplicaRow) -> None:
        refused = refusal(there.log, here)
        if refused is not None or here.replayed is None:
            self._refuse(refused or NO_STANDBY)
            return
        if self._refused is not None:
            log.warning("The replica %s of the server %s is read again.", self.address, self.server.name)
            self._refused = None
        if self.log != there.log:
            self._forget()
            self.log, self.replayed = there.log, 0
        self._heard(parse_lsn(here.replayed))
        self._lag.note(began, there.flushed, self.replayed)

    def _refuse(self, reason: str) -> None:
        if self._refused != reason:
            self._refused = reason
            told = "The replica %s of the server %s is not read, because %s."
            log.warning(told, self.address, self.server.name, reason)
        self._forget()

    def _heard(self, replayed: int) -> None:
        self.replayed = max(self.replayed, replayed)  # answers may overtake each other
        self._heard_at = monotonic()

    def _forget(self) -> None:
        """Let nobody read the replica until it is asked again."""
        self.log = None
        self._lag.forget()


class ServerReplicas:
    """The replicas of one server, and how many reads they and the server have served in this process."""

    def __init__(self, replicas: tuple[Replica, ...]) -> None:
        self.replicas = replicas
        self._lock = Lock()
        self.by_replicas = self.by_server = 0

    def order_of(self, tenant_id: UUID) -> list[Replica]:
        """Return the replicas, first the one that this tenant reads as long as it can be read.

        One replica never goes back, and another one may be further behind.
        """
        if len(self.replicas) == 1:
            return list(self.replicas)
        return sorted(self.replicas, key=lambda each: blake2b(each.address.encode() + tenant_id.bytes).digest())

    def count(self, *, by_replica: bool) -> None:
        """Count a request that reads."""
        with self._lock:
            self.by_replicas += by_replica
            self.by_server += not by_replica


def replicas_of(servers: Servers, settings: Settings) -> dict[str, ServerReplicas]:
    """Return the replicas of the servers that have some, by the name of the server."""
    found = {}
    for name, server in servers.items():
        if isinstance(server, PostgresServer) and server.replicas:
            most_lag, probe_pause = settings.replica_lags.get(name, MOST_LAG), settings.connections_probe
            found[name] = ServerReplicas(
                tuple(
                    Replica(address, each, engines_on(each, settings), most_lag=most_lag, probe_pause=probe_pause)
                    for address, each in server.replica_servers().items()
                )
            )
    return found


NO_REPLICAS: Final[Mapping[str, ServerReplicas]] = MappingProxyType({})
