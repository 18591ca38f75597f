"""The work of ``init`` and ``fleet verify`` on what the roles of tenants may reach besides their own databases."""

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.databases.servers.hardening import Openness, harden, openness
from tenantapp.databases.servers.scratch import scratch_mark
from tenantapp.operations.errors import FleetError
from tenantapp.operations.fleet import Fleet
from tenantapp.tenancy.servers import PostgresServer


def show_open_databases(fleet: Fleet) -> None:
    """Print, for each server, the statements that close its databases to the roles of tenants."""
    for server in _servers(fleet):
        found = _openness(fleet, server)
        if found is not None and found.databases:
            click.echo(_sentence(server, found))
            click.echo("If nobody else needs that, run `tenantapp init --harden-server`, or as a superuser:")
            _show_statements(found)
        if found is not None and found.other_limits:
            click.echo(
                f"On the server {server.name}, {len(found.other_limits)} roles have another limit than "
                "tenancy.connection_limit. `tenantapp init --harden-server` sets it."
            )


def harden_servers(fleet: Fleet) -> None:
    """Close the databases of each server to the roles of tenants. Raises ``CommandFailed`` if some stay open."""
    mark, left = scratch_mark(fleet), []
    for server in _servers(fleet):
        found = harden(server, mark, fleet.settings.user_db_url)
        if not found.databases:
            click.echo(f"On the server {server.name}, each tenant's role may connect to its own database only.")
            continue
        left.append(server.name)
        click.echo(_sentence(server, found))
        click.echo("The role of the server's URL may not change that. As a superuser, run:")
        _show_statements(found)
    if left:
        raise CommandFailed(f"Databases stay open to the roles of tenants on {', '.join(left)}")


def name_open_databases(fleet: Fleet) -> list[str]:
    """Name the open databases on stderr, and return those that tenantapp has made."""
    ours: list[str] = []
    for server in _servers(fleet):
        found = _openness(fleet, server)
        if found is not None and found.databases:
            click.echo(f"{_sentence(server, found)} `tenantapp init` says how to close them.", err=True)
            ours += found.ours
    return ours


def _servers(fleet: Fleet) -> list[PostgresServer]:
    return [server for server in fleet.servers.values() if isinstance(server, PostgresServer)]


def _openness(fleet: Fleet, server: PostgresServer) -> Openness | None:
    try:
        return openness(server, scratch_mark(fleet), fleet.settings.user_db_url)
    except FleetError as error:
        click.echo(f"What is open on the server {server.name} was not looked at: {error}", err=True)
        return None


def _sentence(server: PostgresServer, found: Openness) -> str:
    return f"On the server {server.name}, the roles of tenants may connect to {', '.join(found.databases)}."


def _show_statements(found: Openness) -> None:
    for statement in found.statements:
        click.echo(f"  {statement};")
