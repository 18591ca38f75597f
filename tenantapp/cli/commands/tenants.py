"""Commands for tenants.

Long: it lists everything that can be done with a tenant.
"""

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from tenantapp.cli.arguments import (
    Duration,
    Size,
    administrator_option,
    backup_option,
    detach_option,
    file_argument,
    json_option,
    server_option,
    slug_argument,
    slugs_argument,
    tenant_id_option,
)
from tenantapp.cli.installation import Installation, pass_installation

new_slug_argument = click.argument("slug")
copy_options = (
    click.option("--name", help="The name that people see. Default: the new slug."),
    server_option("A server of the settings, of either engine. Default: the tenant's server."),
    click.option("--without-people", is_flag=True, help="Let the domain remove private data from the copy."),
    click.option("--accept-drift", is_flag=True, help="Copy even if the structure is not that of its revision."),
    detach_option,
    json_option,
)


def copies(command: Any) -> Any:
    """Give a command the arguments and options that all copies of a tenant have."""
    for option in reversed((slug_argument, click.argument("new"), *copy_options)):
        command = option(command)
    return command


@click.group()
def tenants() -> None:
    """Tenants: customers, each with its own database."""


@tenants.command()
@click.argument("slugs", metavar="[SLUG]...", nargs=-1)
@click.option("--name", help="The name that people see. Default: the slug.")
@server_option("A server of the settings. Default: main, or by the weights of the servers.")
@click.option(
    "--from",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV file of tenants. Its first line names the columns: slug, name, server, administrator.",
)
@administrator_option
@detach_option
@json_option
@pass_installation
def create(
    installation: Installation,
    slugs: Sequence[str],
    name: str | None,
    server: str | None,
    file: Path | None,
    administrator: str | None,
    detach: bool,
    as_json: bool,
) -> None:
    """Make tenants, each with its own database.

    --server and --administrator are for all tenants for which the file names none. A failure is reported and does not
    stop the others. The exit status is 0 only if all tenants were made.
    """
    from tenantapp.cli.creating import create_all
    from tenantapp.cli.tenant_files import TenantLine, read_tenants

    wanted = [TenantLine(slug, name, where=f"tenant {slug}") for slug in slugs]
    wanted += list(read_tenants(file)) if file else []
    if not wanted:
        raise click.UsageError("Name a tenant, or a file with --from.")
    if name is not None and len(wanted) > 1:
        raise click.UsageError("--name is for one tenant.")
    defaults = TenantLine("", server=server, administrator=administrator)
    create_all(installation, wanted, defaults, detach, as_json)


@tenants.command("list")
@json_option
@pass_installation
def list_(installation: Installation, as_json: bool) -> None:
    """List the tenants.

    The last hour in which each was used comes from the counted requests (usage.keep).
    """
    from tenantapp.cli.output import show_rows
    from tenantapp.identity.tenants import list_tenants
    from tenantapp.usage.describing import describe_tenants

    with installation.user_session(read_only=True) as session:
        rows = describe_tenants(session, list_tenants(session))
    show_rows(
        rows,
        ("slug", "name", "state", "server", "revision", "created_at", "last_used_hour", "expires_at"),
        as_json=as_json,
    )


@tenants.command()
@slug_argument
@json_option
@pass_installation
def show(installation: Installation, slug: str, as_json: bool) -> None:
    """Show one tenant."""
    from tenantapp.cli.output import show_one
    from tenantapp.identity.tenants import get_tenant
    from tenantapp.usage.describing import describe_one

    with installation.user_session(read_only=True) as session:
        row = describe_one(session, get_tenant(session, slug))
    show_one(row, as_json=as_json)


@tenants.command()
@slug_argument
@click.option("--reason", required=True, help="Why. The tenant's people see it.")
@pass_installation
def suspend(installation: Installation, slug: str, reason: str) -> None:
    """Suspend a tenant.

    From the next request on, its people are refused.
    """
    from tenantapp.identity.tenants import suspend_tenant

    with installation.user_session() as session:
        suspend_tenant(session, slug, reason)
    click.echo(f"The tenant {slug} is suspended.")


@tenants.command()
@slug_argument
@tenant_id_option
@click.option("--yes", "confirmed", is_flag=True, help="Do not ask for confirmation.")
@pass_installation
def forget(installation: Installation, slug: str, tenant_id: UUID | None, confirmed: bool) -> None:
    """Delete the backups, final copies and shipped changes of a removed tenant for good.

    The tenant is the last one of this slug that was removed, or that with the id.
    """
    from tenantapp.cli.output import ask
    from tenantapp.fleet.removing.forgetting import forget_tenant

    if not confirmed and sys.stdin.isatty():
        ask(f"Delete all copies of {slug} for good?")
    count = forget_tenant(installation.fleet, slug, tenant_id)
    click.echo(f"{count} {'file' if count == 1 else 'files'} of {slug} deleted from the backups and the archive.")


@tenants.command()
@slug_argument
@pass_installation
def resume(installation: Installation, slug: str) -> None:
    """Serve a suspended tenant again."""
    from tenantapp.cli.failures import CommandFailed
    from tenantapp.identity.models import TenantState
    from tenantapp.identity.tenants import resume_tenant

    with installation.user_session() as session:
        tenant = resume_tenant(session, slug)
        if tenant.state != TenantState.ACTIVE:
            raise CommandFailed(f"The tenant {slug} is not suspended: its state is {tenant.state}")
    click.echo(f"The tenant {slug} is served again.")


@tenants.command()
@slug_argument
@click.argument("new")
@click.option("--name", help="A new name for people to see. Default: the old one.")
@pass_installation
def rename(installation: Installation, slug: str, new: str, name: str | None) -> None:
    """Give a tenant another slug. Its database stays where it is."""
    from tenantapp.cli.renaming import rename_tenant

    rename_tenant(installation, slug, new, name)


@tenants.command()
@slug_argument
@click.option("--now", is_flag=True, help="Remove everything at once. You cannot bring it back.")
@click.option("--without-copy", is_flag=True, help="With --now: remove it even if no copy is kept or proved.")
@click.option("--yes", is_flag=True, help="With --now: do not ask for confirmation.")
@detach_option
@json_option
@pass_installation
def delete(
    installation: Installation, slug: str, now: bool, without_copy: bool, yes: bool, detach: bool, as_json: bool
) -> None:
    """Delete a tenant.

    From the next request on, its people are refused. For fleet.delete_grace days, `tenants undelete` brings it back.
    Then a worker removes the database and everything else. Before that it writes a final copy to backups.store,
    restores it and compares it. Without a proved copy, nothing is removed.
    """
    from tenantapp.cli.deleting import delete_later, delete_now

    if now:
        delete_now(installation, slug, detach, as_json, copy=not without_copy, confirmed=yes)
    elif yes or detach or without_copy:
        raise click.UsageError("--yes, --detach and --without-copy need --now.")
    else:
        delete_later(installation, slug, as_json)


@tenants.command()
@slug_argument
@pass_installation
def undelete(installation: Installation, slug: str) -> None:
    """Bring a deleted tenant back.

    This works until its removal has begun.
    """
    from tenantapp.fleet.kinds import KINDS
    from tenantapp.fleet.removing.deletion import undelete

    with installation.user_session() as session:
        state = undelete(session, slug, KINDS).state
    click.echo(f"The tenant {slug} is {state} again.")


@tenants.command()
@slug_argument
@file_argument
@pass_installation
def export(installation: Installation, slug: str, file: Path) -> None:
    """Export a tenant's data to a file.

    Both SQLite and PostgreSQL can load it. The file has the data of one moment. The tenant can be used meanwhile.
    """
    from tenantapp.cli import bundles

    bundles.export(installation, slug, file)


@tenants.command("import")
@file_argument
@new_slug_argument
@click.option("--name", help="The name that people see. Default: the name in the file.")
@server_option("A server of the settings. Default: main, or by the weights of the servers.")
@administrator_option
@detach_option
@pass_installation
def import_(installation: Installation, /, file: Path, slug: str, detach: bool, **options: Any) -> None:
    """Make a tenant from an exported file.

    The file may come from either engine. The whole file is checked before anything is made. With --detach, the worker
    must find the file at the same path.
    """
    from tenantapp.cli import bundles

    bundles.import_(installation, file, slug, detach, **options)


@tenants.command()
@copies
@pass_installation
def clone(installation: Installation, /, slug: str, new: str, detach: bool, as_json: bool, **options: Any) -> None:
    """Make a copy of a tenant.

    The copy has the data of one moment, and the original can be used meanwhile. Nobody has a role in the new tenant.
    """
    from tenantapp.cli import tenant_copies

    tenant_copies.clone(installation, slug, new, detach, as_json, **options)


@tenants.command()
@copies
@click.option(
    "--expires", "expires_in", type=Duration(), required=True, help="When it is deleted: after 12h or 7d, for instance."
)
@pass_installation
def branch(installation: Installation, /, slug: str, new: str, detach: bool, as_json: bool, **options: Any) -> None:
    """Make a copy of a tenant that is deleted by itself.

    It is a clone. When its time is over, a worker deletes it. For fleet.delete_grace days, `tenants undelete` brings it
    back. Then it is removed, without a final copy.
    """
    from tenantapp.cli import tenant_copies

    tenant_copies.clone(installation, slug, new, detach, as_json, **options)


@tenants.command()
@slug_argument
@click.option("--in", "after", type=Duration(), help="When it is deleted, from now on: after 12h or 7d, for instance.")
@click.option("--never", is_flag=True, help="Keep it: it becomes a tenant like all others.")
@pass_installation
def expire(installation: Installation, slug: str, after: timedelta | None, never: bool) -> None:
    """Let a branch expire later or earlier, or never."""
    from tenantapp.fleet.copying.branches import expire_after

    if never == (after is not None):
        raise click.UsageError("Say when it expires with --in, or use --never.")
    with installation.user_session() as session:
        at = expire_after(session, slug, after).expires_at
    click.echo(f"The tenant {slug} " + ("never expires." if at is None else f"expires at {at:%Y-%m-%d %H:%M} UTC."))


@tenants.command()
@slug_argument
@click.option("--storage", type=Size(), help="Most bytes of its database and files together: 500MiB, 5GiB, 1TiB.")
@click.option("--default-storage", is_flag=True, help="Let the setting quotas.storage count.")
@click.option("--connections", type=click.IntRange(1, 100_000), help="Most connections to its database.")
@click.option("--default-connections", is_flag=True, help="Let the setting quotas.connections count.")
@json_option
@pass_installation
def quota(installation: Installation, /, slug: str, as_json: bool, **given: Any) -> None:
    """Show or change how much storage, and how many connections, a tenant may use.

    A tenant that uses all of its storage reads and deletes, but adds nothing. A worker measures every 15 minutes. When
    all of its connections are in use, further requests wait for connections.timeout seconds and are answered 503.
    """
    from tenantapp.cli import quotas
    from tenantapp.cli.output import show_one

    for name in ("storage", "connections"):
        if given[f"default_{name}"] and given[name] is not None:
            raise click.UsageError(f"Give --{name} or --default-{name}, not both.")
    show_one(quotas.change_and_describe(installation, slug, **given), as_json=as_json)


@tenants.command()
@slug_argument
@server_option("A server of the settings, of either engine.", required=True)
@click.option("--accept-drift", is_flag=True, help="Move even if the structure is not that of its revision.")
@detach_option
@json_option
@pass_installation
def move(installation: Installation, /, slug: str, server: str, detach: bool, as_json: bool, **options: Any) -> None:
    """Move a tenant to another server.

    During the switch, the tenant's people get 503 with Retry-After. The old database is closed and kept for
    fleet.delete_grace days. Then a worker removes it.
    """
    from tenantapp.cli import tenant_copies

    tenant_copies.move(installation, slug, server, detach, as_json, **options)


@tenants.command()
@new_slug_argument
@click.option("--database", required=True, help="The name of a PostgreSQL database, or the path of a SQLite file.")
@server_option("The server of the settings that has the database and gets the tenant. Default: main.")
@click.option("--name", help="The name that people see. Default: the slug.")
@click.option("--revision", help="The revision of a database that records none. Default: the newest.")
@administrator_option
@detach_option
@json_option
@pass_installation
def adopt(installation: Installation, /, slug: str, database: str, detach: bool, as_json: bool, **options: Any) -> None:
    """Make a tenant from an existing database.

    The database is copied, and left as it is. It must have the structure of a tenant database; if not, nothing is made.
    """
    from tenantapp.cli import tenant_copies

    tenant_copies.adopt(installation, slug, database, detach, as_json, **options)


@tenants.command()
@slugs_argument
@click.option("--all", "everybody", is_flag=True, help="All tenants that are not deleted.")
@detach_option
@json_option
@pass_installation
def backup(installation: Installation, slugs: Sequence[str], everybody: bool, detach: bool, as_json: bool) -> None:
    """Back up tenants.

    Removes the backups that backups.keep does not keep. Each backup has the data of one moment, and the tenants can be
    used meanwhile. A failure is reported and does not stop the others. The exit status is 0 only if all tenants were
    backed up.
    """
    from tenantapp.cli.backups import BACK_UP

    if bool(slugs) == everybody:
        raise click.UsageError("Name tenants, or all of them with --all.")
    BACK_UP.run(installation, slugs, detach, as_json)


@tenants.command("sweep-files")
@slugs_argument
@click.option("--all", "everybody", is_flag=True, help="All tenants that are not deleted.")
@detach_option
@json_option
@pass_installation
def sweep_files(installation: Installation, slugs: Sequence[str], everybody: bool, detach: bool, as_json: bool) -> None:
    """Remove the content of files that no row lists.

    Killed uploads and restores in place leave such content. What is younger than a day stays: its row may be about to
    be written. Files whose content is gone are counted. A failure is reported and does not stop the others.
    """
    from tenantapp.cli.sweeping_files import SWEEP

    if bool(slugs) == everybody:
        raise click.UsageError("Name tenants, or all of them with --all.")
    SWEEP.run(installation, slugs, detach, as_json)


@tenants.command()
@slug_argument
@tenant_id_option
@json_option
@pass_installation
def backups(installation: Installation, slug: str, tenant_id: UUID | None, as_json: bool) -> None:
    """List a tenant's backups, newest first.

    The list includes the final copy if the tenant was removed.
    """
    from tenantapp.cli.backups import list_backups

    list_backups(installation, slug, tenant_id, as_json)


@tenants.command()
@slug_argument
@backup_option
@tenant_id_option
@click.option("--at", metavar="TIME", help="Restore what the tenant had at this time, such as 2026-11-28T10:00+00:00.")
@click.option("--database", metavar="[SERVER:]NAME", help="With --at: the database that the tenant had then.")
@click.option("--as", "new", metavar="NEW", help="Make a new tenant with this slug, beside the present one.")
@click.option("--name", help="With --as: the name that people see. Default: the name in the backup.")
@server_option("With --as: a server of the settings. Default: the tenant's server.")
@click.option("--accept-drift", is_flag=True, help="Restore even if the structure is not that of its revision.")
@click.option("--yes", "confirmed", is_flag=True, help="Do not ask for confirmation.")
@detach_option
@json_option
@pass_installation
def restore(installation: Installation, /, slug: str, new: str | None, **options: Any) -> None:
    """Restore a tenant from a backup.

    With --at, restore what the tenant had at a time, from the archive of its server. With --as, this makes a
    new tenant. In place, the tenant loses everything that was written after the backup or the time. Its present
    database is kept for fleet.delete_grace days.
    """
    from tenantapp.cli import restores

    if new is None and (options["tenant_id"] or options["name"] or options["server"]):
        raise click.UsageError("--tenant-id, --name and --server need --as.")
    if options["at"] is None and options["database"] is not None:
        raise click.UsageError("--database needs --at.")
    if options["at"] is not None and options["backup"] is not None:
        raise click.UsageError("Give --at or --backup, not both.")
    restores.restore(installation, slug, new, **options)


@tenants.command()
@slug_argument
@backup_option
@tenant_id_option
@server_option("A server of the settings. Default: the tenant's server.")
@json_option
@pass_installation
def test_restore(installation: Installation, /, **options: Any) -> None:
    """Test whether a backup can be restored.

    Restores it into a scratch database, which is removed afterwards. Shows the number of rows of each table. The exit
    status is 0 only if a restore would work.
    """
    from tenantapp.cli import restores

    restores.test_restore(installation, **options)
