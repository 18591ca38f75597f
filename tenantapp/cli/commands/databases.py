"""Commands for the databases themselves: ``init``, ``revision``, ``sweep``, ``accept-loss``."""

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from tenantapp.cli.completing import slugs as slug_names
from tenantapp.cli.installation import Installation, pass_installation

if TYPE_CHECKING:
    from tenantapp.databases.histories.histories import History


@click.command()
@click.option(
    "--harden-server",
    "hardened",
    is_flag=True,
    help="Take the right to connect to other databases, such as postgres, from everybody on the PostgreSQL servers.",
)
@click.option(
    "--contract",
    is_flag=True,
    help="Also take away what older programs use: when none of them runs any more.",
)
@pass_installation
def init(installation: Installation, hardened: bool, contract: bool) -> None:
    """Make or upgrade the user database, and add the roles and permissions that the domain declares.

    Run it after each upgrade of tenantapp or of your domain, while the programs of the version before still run. What
    they use is taken away only with --contract. What is declared is added once: what you have taken away
    from a role stays away. If tenants' roles may connect to other databases of a PostgreSQL server, the statements that
    close them are shown. With --harden-server they are executed.
    """
    from tenantapp.cli.describing import add_declared_rights
    from tenantapp.cli.hardening import harden_servers, show_open_databases
    from tenantapp.cli.upgrading import upgrade_users
    from tenantapp.identity.audit import record
    from tenantapp.identity.users import add_skeletons

    revision, sentence = upgrade_users(installation.settings, contract=contract)
    with installation.user_session() as session:
        record(session, "init.run", detail={"revision": revision})
    click.echo(f"The user database is at revision {revision}.{sentence}")
    with installation.user_session() as session:
        add_skeletons(session)
    for sentence in add_declared_rights(installation):
        click.echo(sentence)
    if hardened:
        harden_servers(installation.fleet)
    else:
        show_open_databases(installation.fleet)


@click.command()
@click.argument("history", type=click.Choice(["user", "tenant"]))
@click.option("-m", "--message", required=True, help="What the revision changes.")
@click.option("--empty", is_flag=True, help="Write a revision that does nothing yet, for a migration of data.")
@pass_installation
def revision(installation: Installation, history: "History", message: str, empty: bool) -> None:
    """Write a draft of a migration.

    It has the differences between the models and the newest revision. Read the draft before you apply it. With --empty
    it has none, and a comment says how to move data on both engines.
    """
    from tenantapp.databases.schemas.autogenerate import make_empty_revision, make_revision

    if empty:
        click.echo(make_empty_revision(installation.settings, history, message))
    else:
        click.echo(make_revision(installation.fleet, history, message))


@click.command()
@pass_installation
def sweep(installation: Installation) -> None:
    """Delete expired web sessions, API tokens, one-time links and challenges of sign-ins, and old operations.

    Account mail and invitations that have expired go with the links. So do counts of failed sign-ins that are over,
    devices in which nobody signed in for a year, times of statements that are a week old, and reports of processes that
    are a day old. Tokens are deleted 30 days after they expired, and operations fleet.keep_operations days after they
    finished. If the setting audit.keep is not 0, entries of the audit trail older
    than that many days are deleted too.
    """
    from tenantapp.fleet.kinds import KINDS
    from tenantapp.fleet.removing.expired import sweep_expired
    from tenantapp.identity.api_tokens import sweep_tokens
    from tenantapp.identity.audit import record
    from tenantapp.identity.models import OneTimeLink
    from tenantapp.identity.web_sessions import lifetimes_of, sweep
    from tenantapp.operations.queue import sweep_operations

    with installation.user_session() as session:
        count = sweep(session, lifetimes_of(installation.settings))
        expired = sweep_tokens(session)
        links = sweep_expired(session)[OneTimeLink]
    with installation.user_session() as session:
        old = sweep_operations(session, timedelta(days=installation.settings.fleet_keep_operations), KINDS)
        if count or expired or old:
            record(session, "sweep.run", detail={"web_sessions": count, "tokens": expired, "operations": old})
    click.echo(f"{count} expired web {'session' if count == 1 else 'sessions'} deleted.")
    click.echo(f"{expired} expired API {'token' if expired == 1 else 'tokens'} deleted.")
    click.echo(f"{links} expired one-time {'link' if links == 1 else 'links'} deleted.")
    click.echo(f"{old} old {'operation' if old == 1 else 'operations'} deleted.")
    _sweep_audit_trail(installation)


def _sweep_audit_trail(installation: Installation) -> None:
    days = installation.settings.audit_keep
    if not days:
        return
    from tenantapp.audit.checkpoints import signing_key
    from tenantapp.audit.sweeping import sweep_trail

    key = signing_key(installation.settings)
    keep_unsent = installation.settings.audit_stream is not None
    count = sweep_trail(installation.fleet.user_db, key, timedelta(days=days), keep_unsent=keep_unsent)
    click.echo(f"{count} old {'entry' if count == 1 else 'entries'} of the audit trail deleted.")


@click.command()
@click.argument("slug", required=False, shell_complete=slug_names)
@click.option("--user-database", "people", is_flag=True, help="The user database instead of that of a tenant.")
@click.option("--yes", "confirmed", is_flag=True, help="Do not ask for confirmation.")
@pass_installation
def accept_loss(installation: Installation, slug: str | None, people: bool, confirmed: bool) -> None:
    """Use a SQLite database that lacks commits as it is.

    A database whose write-ahead log was removed or replaced, or that was copied without it, is not used: the last
    commits are missing. Look for the file FILE-wal and put it back, or restore a backup. If there is neither, this
    command accepts what is left. It checks that the file is sound, and clients read everything again.
    """
    from tenantapp.cli.output import ask
    from tenantapp.fleet.reconciling.lost_commits import accept_loss, accept_loss_of_people

    if (slug is not None) == people:
        raise click.UsageError("Name a tenant, or give --user-database.")
    name = "the user database" if slug is None else f"the tenant {slug}"
    if not confirmed and sys.stdin.isatty():
        ask(f"Give up what {name} has lost?")
    lost = accept_loss_of_people(installation.fleet) if slug is None else accept_loss(installation.fleet, slug)
    click.echo(f"Accepted for {name}: {lost}.")
