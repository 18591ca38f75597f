"""Commands for tenants.

Long: it lists what can be done with a tenant.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from tenantapp.cli.arguments import (
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


@click.group()
def tenants() -> None:
    """Tenants: customers, each with a database of its own."""


@tenants.command()
@click.argument("slugs", metavar="[SLUG]...", nargs=-1)
@click.option("--name", help="Shown to people; the slug if left out.")
@server_option("A server of the settings; main if left out.")
@click.option(
    "--from",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV file of tenants; its first line names the columns slug, name and server.",
)
@detach_option
@json_option
@pass_installation
def create(
    installation: Installation,
    slugs: Sequence[str],
    name: str | None,
    server: str | None,
    file: Path | None,
    detach: bool,
    as_json: bool,
) -> None:
    """Make tenants, each with a database of its own.

    What fails is named, and the others are made; the status is 0 only when all were.
    """
    from tenantapp.cli.creating import create_all
    from tenantapp.cli.tenant_files import TenantLine, read_tenants

    wanted = [TenantLine(slug, name, server, f"tenant {slug}") for slug in slugs]
    wanted += list(read_tenants(file)) if file else []
    if not wanted:
        raise click.UsageError("Name a tenant, or a file with --from.")
    if name is not None and len(wanted) > 1:
        raise click.UsageError("--name is for one tenant.")
    create_all(installation, wanted, server, detach, as_json)


@tenants.command("list")
@json_option
@pass_installation
def list_(installation: Installation, as_json: bool) -> None:
    """List the tenants."""
    from tenantapp.cli.output import show_rows
    from tenantapp.identity.tenants import describe_tenant, list_tenants

    with installation.user_session(read_only=True) as session:
        rows = [describe_tenant(tenant) for tenant in list_tenants(session)]
    show_rows(rows, ("slug", "name", "state", "server", "revision", "created_at"), as_json=as_json)


@tenants.command()
@slug_argument
@json_option
@pass_installation
def show(installation: Installation, slug: str, as_json: bool) -> None:
    """Show one tenant."""
    from tenantapp.cli.output import show_one
    from tenantapp.identity.tenants import describe_tenant, get_tenant

    with installation.user_session(read_only=True) as session:
        row = describe_tenant(get_tenant(session, slug))
    show_one(row, as_json=as_json)


@tenants.command()
@slug_argument
@click.option("--reason", required=True, help="Shown to the tenant's people.")
@pass_installation
def suspend(installation: Installation, slug: str, reason: str) -> None:
    """Serve nobody of the tenant from the next request on."""
    from tenantapp.identity.tenants import suspend_tenant

    with installation.user_session() as session:
        suspend_tenant(session, slug, reason)
    click.echo(f"The tenant {slug} is suspended.")


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
            raise CommandFailed(f"The tenant {slug} is not suspended, it is {tenant.state}")
    click.echo(f"The tenant {slug} is served.")


@tenants.command()
@slug_argument
@click.argument("new")
@click.option("--name", help="A new name for people; the old one stays if left out.")
@pass_installation
def rename(installation: Installation, slug: str, new: str, name: str | None) -> None:
    """Give a tenant another slug; its database stays where it is."""
    from tenantapp.identity.tenants import rename_tenant

    with installation.user_session() as session:
        rename_tenant(session, slug, new, name=name)
    click.echo(f"The tenant {slug} is called {new} now.")


@tenants.command()
@slug_argument
@click.option("--now", is_flag=True, help="Remove everything at once; it cannot be brought back.")
@click.option("--without-copy", is_flag=True, help="With --now: remove it though no copy of it is kept or proved.")
@click.option("--yes", is_flag=True, help="With --now: do not ask.")
@detach_option
@json_option
@pass_installation
def delete(
    installation: Installation, slug: str, now: bool, without_copy: bool, yes: bool, detach: bool, as_json: bool
) -> None:
    """Delete a tenant: nobody is served from the next request on.

    For a while it can be brought back with `tenants undelete`; then a worker removes the database and all else. A final
    copy goes to backups.store first, and is restored and compared. Without one, nothing is removed.
    """
    from tenantapp.cli.deleting import delete_later, delete_now

    if now:
        delete_now(installation, slug, detach, as_json, copy=not without_copy, confirmed=yes)
    elif yes or detach or without_copy:
        raise click.UsageError("--yes, --detach and --without-copy are for --now.")
    else:
        delete_later(installation, slug, as_json)


@tenants.command()
@slug_argument
@pass_installation
def undelete(installation: Installation, slug: str) -> None:
    """Bring back a deleted tenant, as it was, before it is removed for good."""
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
    """Write a tenant's data to a file that both SQLite and PostgreSQL can load.

    It is the data of one moment; the tenant may be used meanwhile.
    """
    from tenantapp.cli import bundles

    bundles.export(installation, slug, file)


@tenants.command("import")
@file_argument
@new_slug_argument
@click.option("--name", help="Shown to people; that of the file if left out.")
@server_option("A server of the settings; main if left out.")
@detach_option
@pass_installation
def import_(
    installation: Installation, file: Path, slug: str, name: str | None, server: str | None, detach: bool
) -> None:
    """Make a tenant of a file that was exported, on this or another engine.

    The whole file is checked before anything is made. A worker has to find it at the same path.
    """
    from tenantapp.cli import bundles

    bundles.import_(installation, file, slug, name, server, detach)


@tenants.command()
@slug_argument
@click.argument("new")
@click.option("--name", help="Shown to people; the new slug if left out.")
@server_option("A server of the settings, of whatever engine; the tenant's if left out.")
@click.option("--without-people", is_flag=True, help="Have the domain remove what is private.")
@detach_option
@json_option
@pass_installation
def clone(installation: Installation, /, slug: str, new: str, detach: bool, as_json: bool, **options: Any) -> None:
    """Make a tenant of another one's data, as it is at one moment.

    The other may be used meanwhile. Nobody is granted anything in the new one.
    """
    from tenantapp.cli import tenant_copies

    tenant_copies.clone(installation, slug, new, detach, as_json, **options)


@tenants.command()
@slug_argument
@server_option("A server of the settings, of whatever engine.", required=True)
@detach_option
@json_option
@pass_installation
def move(installation: Installation, slug: str, server: str, detach: bool, as_json: bool) -> None:
    """Move a tenant to another server.

    Its people are asked to wait while nobody may write. The database it had is kept for a while, closed, and then
    removed by a worker.
    """
    from tenantapp.cli import tenant_copies

    tenant_copies.move(installation, slug, server, detach, as_json)


@tenants.command()
@new_slug_argument
@click.option("--database", required=True, help="Its name on a PostgreSQL server, or the path of a SQLite file.")
@server_option("The server of the settings that it is on, and the tenant is to be on; main if left out.")
@click.option("--name", help="Shown to people; the slug if left out.")
@click.option("--revision", help="What it is taken to be at if it does not say so; the newest if left out.")
@detach_option
@json_option
@pass_installation
def adopt(installation: Installation, /, slug: str, database: str, detach: bool, as_json: bool, **options: Any) -> None:
    """Make a tenant of a database that is there already and has the structure of a tenant's.

    It is copied, and itself left alone. A structure that differs is refused before anything is made.
    """
    from tenantapp.cli import tenant_copies

    tenant_copies.adopt(installation, slug, database, detach, as_json, **options)


@tenants.command()
@slugs_argument
@click.option("--all", "everybody", is_flag=True, help="All tenants that are made and not deleted.")
@detach_option
@json_option
@pass_installation
def backup(installation: Installation, slugs: Sequence[str], everybody: bool, detach: bool, as_json: bool) -> None:
    """Back tenants up, each as it is at one moment, and remove the backups that backups.keep does not keep.

    The tenants may be used meanwhile. What fails is named, and the others are backed up; the status is 0 only when all
    were.
    """
    from tenantapp.cli.backups import back_up

    if bool(slugs) == everybody:
        raise click.UsageError("Name tenants, or all of them with --all.")
    back_up(installation, slugs, detach, as_json)


@tenants.command()
@slug_argument
@tenant_id_option
@json_option
@pass_installation
def backups(installation: Installation, slug: str, tenant_id: UUID | None, as_json: bool) -> None:
    """List a tenant's backups, and its final copy if it was removed: the newest first."""
    from tenantapp.cli.backups import list_backups

    list_backups(installation, slug, tenant_id, as_json)


@tenants.command()
@slug_argument
@backup_option
@tenant_id_option
@click.option("--as", "new", metavar="NEW", help="Make a new tenant of this slug, beside the present one.")
@click.option("--name", help="With --as: shown to people; that of the backup if left out.")
@server_option("With --as: a server of the settings; the tenant's own if left out.")
@click.option("--accept-drift", is_flag=True, help="Also if the structure is not as its revision makes it.")
@click.option("--yes", "confirmed", is_flag=True, help="Do not ask, if there is a terminal.")
@detach_option
@json_option
@pass_installation
def restore(installation: Installation, /, slug: str, new: str | None, **options: Any) -> None:
    """Give a tenant back what is in a backup, or, with --as, make a new tenant of it.

    In place, everything since the backup is lost to the tenant; its present database is kept for fleet.delete_grace
    days.
    """
    from tenantapp.cli import restores

    if new is None and (options["tenant_id"] or options["name"] or options["server"]):
        raise click.UsageError("--tenant-id, --name and --server are for a new tenant, with --as.")
    restores.restore(installation, slug, new, **options)


@tenants.command()
@slug_argument
@backup_option
@tenant_id_option
@server_option("A server of the settings; the tenant's own if left out.")
@json_option
@pass_installation
def test_restore(installation: Installation, /, **options: Any) -> None:
    """Restore a backup into a database that is removed again: whether it would work is known only by doing it.

    Reports the rows of each table. The status is 0 only when a restore would work.
    """
    from tenantapp.cli import restores

    restores.test_restore(installation, **options)
