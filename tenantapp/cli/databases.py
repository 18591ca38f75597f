"""Commands for the databases themselves: ``init``, ``revision``, ``sweep``."""

from datetime import timedelta

import click

from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.databases.histories.histories import History
from tenantapp.databases.histories.upgrading import upgrade_user_database
from tenantapp.databases.schemas.autogenerate import make_revision
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity import web_sessions
from tenantapp.identity.audit import sweep_entries
from tenantapp.operations.fleet import opened_fleet
from tenantapp.operations.queue import sweep_operations


@click.command()
@pass_installation
def init(installation: Installation) -> None:
    """Make the user database, or upgrade it to this version."""
    revision = upgrade_user_database(installation.settings)
    click.echo(f"The user database is at revision {revision}.")


@click.command()
@click.argument("history", type=click.Choice(["user", "tenant"]))
@click.option("-m", "--message", required=True, help="What the revision is for.")
@pass_installation
def revision(installation: Installation, history: History, message: str) -> None:
    """Write a migration from the difference between the models and the newest revision.

    Read it before it is applied: it is a draft.
    """
    # Without the application: a view that is not finished yet does not keep its model from its migration.
    with opened_fleet(installation.settings) as fleet:
        click.echo(make_revision(fleet, history, message))


@click.command()
@pass_installation
def sweep(installation: Installation) -> None:
    """Delete web sessions that have expired, and operations that were finished long ago.

    With the setting audit.keep also the entries of the audit trail that are older.
    """
    with installation.user_session() as session:
        count = web_sessions.sweep(session, installation.registry.lifetimes)
    with installation.user_session() as session:
        old = sweep_operations(session, timedelta(days=installation.settings.fleet_keep_operations), KINDS)
    click.echo(f"{count} expired web {'session' if count == 1 else 'sessions'} deleted.")
    click.echo(f"{old} old {'operation' if old == 1 else 'operations'} deleted.")
    _sweep_audit_trail(installation)


def _sweep_audit_trail(installation: Installation) -> None:
    days = installation.settings.audit_keep
    if not days:
        return
    with installation.user_session() as session:
        count = sweep_entries(session, timedelta(days=days))
    click.echo(f"{count} old {'entry' if count == 1 else 'entries'} of the audit trail deleted.")
