"""Checks of the user database, the servers, PgBouncer and the clocks."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, select
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tenantapp.cli.checks.examination import Examination, Finding, State, count, ok, warning, wrong
from tenantapp.credentials import authenticator_apps
from tenantapp.databases.connections.extensions import faults
from tenantapp.databases.connections.maintenance_engines import maintenance_connection
from tenantapp.databases.histories.histories import head_revision, history_digest, script_directory
from tenantapp.databases.histories.oldest_program import first_to_leave, oldest_program
from tenantapp.databases.histories.upgrading import current_revision
from tenantapp.databases.servers.hardening import openness
from tenantapp.databases.servers.scratch import scratch_mark
from tenantapp.federation import providers
from tenantapp.identity.models import Tenant
from tenantapp.operations.errors import FleetError
from tenantapp.operations.outcomes import cause, first_line
from tenantapp.settings import Settings
from tenantapp.sql.engines import engine_options, server_version
from tenantapp.sql.errors import SqlError
from tenantapp.tenancy.errors import TenancyError
from tenantapp.tenancy.servers import PostgresServer, Server, Servers, SqliteServer
from tenantapp.tenancy.user_database import user_database as user_database_at

CLOCK_WARNING: Final = 2.0  # seconds
CLOCK_WRONG: Final = 30.0  # seconds, as long as a lease
CLOCK_ADVICE: Final = (
    "Synchronise the machines (chrony, systemd-timesyncd): tenantapp goes by the user database's clock,"
    " but logs and the tools of PostgreSQL do not"
)
RIGHTS: Final = (
    "SELECT current_user, rolsuper OR rolcreatedb, rolsuper OR rolcreaterole, pg_is_in_recovery()"
    " FROM pg_roles WHERE rolname = current_user"
)


def user_database(examination: Examination) -> Iterator[Finding]:
    """Connect to the user database, in a transaction that may write."""
    name, installation = "user database", examination.installation
    try:
        with installation.user_session() as session:
            connection = session.connection()
            postgres = connection.dialect.name == "postgresql"
            reading = postgres and connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
            if postgres:
                examination.clocks[name] = _clock_ahead(connection)
    except (SqlError, TenancyError, DBAPIError) as error:
        advice = "Check user_db.url and its server; run `tenantapp init` if the database was never made"
        yield wrong(name, f"it cannot be used ({cause(error)})", advice)
        return
    if reading:
        advice = "Let user_db.url name the primary server, or switch default_transaction_read_only off"
        yield wrong(name, "it is read-only", advice)
    else:
        yield ok(
            name, "PostgreSQL; it answers" if postgres else f"SQLite: {installation.settings.user_db_url.database}"
        )


def user_revision(examination: Examination) -> Iterator[Finding]:
    """Compare the revision of the user database with the newest revision of its history."""
    name, installation = "user revision", examination.installation
    head, history = head_revision(installation.settings, "user"), history_digest(installation.settings, "user")
    found = current_revision(installation.fleet.user_db)
    if found == head:
        yield ok(name, f"{head}, the newest")
    elif found is None:
        yield wrong(name, "the user database has no tables", "Run `tenantapp init`")
    elif found in history.revisions:
        yield behind(installation.settings, found, head)
    elif (needed := oldest_program(installation.fleet.user_db)) is None or needed in history.revisions:
        detail = f"the user database is at {found}, which is newer than this version, and says that it may go on"
        yield warning(name, detail, "Replace this version by the newer one")
    else:
        detail = f"the user database is at {found}, which this version does not know"
        yield wrong(name, detail, "Install the newer version of tenantapp that made it")


def behind(settings: Settings, found: str, head: str) -> Finding:
    """Say whether an upgrade is missing, or only what waits until no older program runs."""
    stop = first_to_leave(script_directory(settings, "user"), found, head)
    if stop is not None and stop[0] == found and stop[1].needed is None:
        detail = f"the user database is at {found}, and {stop[1].first} is left for later"
        return warning("user revision", detail, "Run `tenantapp init --contract` when no older program runs any more")
    return wrong("user revision", f"the user database is at {found}, behind {head}", "Run `tenantapp init`")


def stored_secrets(examination: Examination) -> Iterator[Finding]:
    """Look for secrets that are stored in clear, because there was no ``tenancy.secret``."""
    with examination.installation.user_session(read_only=True) as session:
        numbers = {
            "authenticator apps": authenticator_apps.number_in_clear(session),
            "identity providers": providers.number_in_clear(session),
        }
    for whose, number in numbers.items():
        if number:
            detail = f"{count(number, 'secret')} of {whose} stored in clear"
            yield warning("stored secrets", detail, "Set tenancy.secret, and run `tenantapp secrets rotate`")


def servers(examination: Examination) -> Iterator[Finding]:
    """Check whether databases can be made on each server."""
    for server in examination.installation.fleet.servers.values():
        if isinstance(server, PostgresServer):
            found = _postgres(examination, server)
            yield found
            if found.state == State.OK:
                yield from _open_databases(examination, server)
                yield from _extensions(server)
        elif isinstance(server, SqliteServer):
            yield _directory(server)


def pgbouncers(examination: Examination) -> Iterator[Finding]:
    """Query databases through each PgBouncer, as a request does."""
    found = examination.installation.settings
    if found.user_db_pgbouncer is not None:
        database = user_database_at(found.user_db_url, pgbouncer=found.user_db_pgbouncer)
        try:
            with database.begin(read_only=True) as session:
                session.scalar(select(1))
            yield ok("user_db.pgbouncer", "it answers")
        except (SqlError, TenancyError, DBAPIError) as error:
            yield _pgbouncer_down("user_db.pgbouncer", cause(error))
        finally:
            database.dispose()
    for server in Servers.of(found, pgbouncers=True).values():
        if server.behind_pgbouncer:
            yield _pgbouncer(examination, server)


def clock(examination: Examination) -> Iterator[Finding]:
    """Compare the clock of this machine with those of the database servers that answered."""
    if not examination.clocks:
        found = examination.installation.settings
        if all(url.get_backend_name() == "sqlite" for url in (found.user_db_url, *found.servers.values())):
            yield ok("clock", "this machine's is the only one")
        else:
            yield warning("clock", "not compared: no PostgreSQL server answers", "Make the servers answer first")
        return
    name, ahead = max(examination.clocks.items(), key=lambda item: abs(item[1]))
    if abs(ahead) <= CLOCK_WARNING:
        yield ok("clock", f"this machine's agrees with {count(len(examination.clocks), 'other')}")
        return
    report = wrong if abs(ahead) > CLOCK_WRONG else warning
    yield report("clock", f"this machine's is {_apart(ahead)} that of {name}", CLOCK_ADVICE)


def _extensions(server: PostgresServer) -> Iterator[Finding]:
    """Check whether the extensions of a server's setting can be made there."""
    if not server.extensions:
        return
    name = f"extensions on {server.name}"
    with maintenance_connection(server.url, f"server {server.name}") as connection:
        found = list(faults(connection, server.extensions))
    for fault in found:
        yield wrong(name, fault, f"Mend that on the server, or correct servers.{server.name}.extensions")
    if not found:
        yield ok(name, f"{', '.join(server.extensions)} can be made")


def _postgres(examination: Examination, server: PostgresServer) -> Finding:
    name = f"server {server.name}"
    try:
        with maintenance_connection(server.url, name) as connection:
            role, databases, roles, standby = connection.exec_driver_sql(RIGHTS).one()
            version = server_version(connection)
            examination.versions[server.name] = version
            examination.clocks[name] = _clock_ahead(connection)
    except FleetError as error:
        return wrong(name, f"it does not answer ({cause(error)})", f"Check servers.{server.name} and the server")
    if standby:
        return wrong(name, "it is a standby, which is read-only", f"Let servers.{server.name} name the primary")
    missing = [right for right, has in (("CREATEDB", databases), ("CREATEROLE", roles)) if not has]
    if missing:
        detail = f"its role {role} may make no {'databases' if 'CREATEDB' in missing else 'roles'}"
        return wrong(name, detail, f'As a superuser, run `ALTER ROLE "{role}" {" ".join(missing)}`')
    return ok(name, f"PostgreSQL {'.'.join(map(str, version))}; its role {role} may make databases and roles")


def _open_databases(examination: Examination, server: PostgresServer) -> Iterator[Finding]:
    """Name what the roles of tenants may reach besides their own databases."""
    installation = examination.installation
    found = openness(server, scratch_mark(installation.fleet), installation.settings.user_db_url)
    advice = "Run `tenantapp init`, which says how to change that"
    if found.databases:
        detail = f"the roles of tenants may connect to {', '.join(found.databases)}"
        report = wrong if found.ours else warning
        yield report(f"server {server.name}", detail, advice)
    if found.other_limits:
        roles = count(len(found.other_limits), "role has", "roles have")
        yield warning(f"server {server.name}", f"{roles} another limit than tenancy.connection_limit", advice)


def _directory(server: SqliteServer) -> Finding:
    """Check the directory, or the one in which it would be made."""
    name, directory = f"server {server.name}", server.directory.absolute()
    there = next(path for path in (directory, *directory.parents) if os.path.lexists(path))
    if not there.is_dir():
        return wrong(name, f"{there} is not a directory", f"Move it away, or correct servers.{server.name}")
    if not _may_write(there):
        advice = f"Give the directory to the user that runs tenantapp, or correct servers.{server.name}"
        return wrong(name, f"{there} is not writable", advice)
    return ok(name, f"SQLite: {directory}" + ("" if there == directory else ", which the first tenant makes"))


def _may_write(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _pgbouncer(examination: Examination, server: Server) -> Finding:
    """Query the database of the first tenant: PgBouncer need not know any other role."""
    name = f"pgbouncer.{server.name}"
    with examination.installation.user_session(read_only=True) as session:
        on_it = select(Tenant.database).where(Tenant.is_served, Tenant.server == server.name)
        database = session.scalar(on_it.order_by(Tenant.slug).limit(1))
    if database is None:
        return ok(name, "not asked, because the server has no tenant yet")
    try:
        _ask(server.traffic_url(database))
    except DBAPIError as error:
        return _pgbouncer_down(name, first_line(error.orig))
    return ok(name, "it answers")


def _ask(url: URL) -> None:
    options: dict[str, Any] = engine_options(url)
    with create_engine(url, poolclass=NullPool, **options).connect() as connection:
        connection.scalar(select(1))


def _pgbouncer_down(name: str, reason: str) -> Finding:
    advice = f"Check the setting {name}, PgBouncer, and its auth_file (docs/connections.md)"
    return wrong(name, f"it does not answer ({reason})", advice)


def _apart(ahead: float) -> str:
    return f"{abs(ahead):.1f} s {'behind' if ahead > 0 else 'ahead of'}"


def _clock_ahead(connection: Connection) -> float:
    """Return how many seconds the server's clock is ahead of ours, less what the round trip may explain."""
    before = time.time()
    there = connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())::float8").scalar_one()
    after = time.time()
    return float(min(there - before, 0.0) if there < before else max(there - after, 0.0))
