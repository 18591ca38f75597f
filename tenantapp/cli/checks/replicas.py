"""Checks of the replicas of servers."""

from collections.abc import Iterator

from sqlalchemy.engine import URL

from tenantapp.cli.checks.examination import Examination, Finding, ok, warning, wrong
from tenantapp.databases.connections.maintenance_engines import maintenance_connection
from tenantapp.operations.errors import FleetError
from tenantapp.operations.outcomes import cause
from tenantapp.tenancy.positions import parse_lsn
from tenantapp.tenancy.replication import (
    ASK_REPLICA,
    ASK_SERVER,
    FOREIGN,
    OTHER_TIMELINE,
    ReplicaRow,
    ServerPosition,
    Unasked,
    position_in,
    refusal,
)
from tenantapp.tenancy.servers import PostgresServer

ADVICE = {
    FOREIGN: "Correct servers.{}.replicas: it must name standbys of this server",
    OTHER_TIMELINE: "Let it follow servers.{}, and execute CHECKPOINT there and then on the replica",
}
NOT_READ = "Mend it, or take it out of servers.{}.replicas; requests read the server meanwhile"


def replicas(examination: Examination) -> Iterator[Finding]:
    """Check whether each replica is a standby of its server, and how far behind it is."""
    for server in examination.installation.fleet.servers.values():
        if isinstance(server, PostgresServer) and server.name in examination.versions:  # it answers
            for address, replica in server.replica_servers().items():
                yield _replica(server, address, replica)


def _replica(server: PostgresServer, address: str, replica: PostgresServer) -> Finding:
    name = f"replica {address} of {server.name}"
    try:
        there = _server_position(server.url, f"server {server.name}")
        here = _replica_row(replica.url, name)
    except (FleetError, Unasked) as error:
        reason = f"it does not answer ({cause(error)})" if isinstance(error, FleetError) else str(error)
        return warning(name, reason, NOT_READ.format(server.name))
    refused = refusal(there.log, here)
    if refused is not None:
        report = wrong if refused == FOREIGN else warning
        return report(name, refused, ADVICE.get(refused, NOT_READ).format(server.name))
    behind = max(0, there.flushed - parse_lsn(here.replayed or "0/0"))
    return ok(name, f"a standby, {behind} bytes of the log behind")


def _server_position(url: URL, name: str) -> ServerPosition:
    with maintenance_connection(url, name) as connection:
        return position_in(connection.execute(ASK_SERVER.statement).one())


def _replica_row(url: URL, name: str) -> ReplicaRow:
    with maintenance_connection(url, name) as connection:
        return ReplicaRow(*connection.execute(ASK_REPLICA.statement).one())
