"""Commands for all tenant databases together."""

from datetime import timedelta
from typing import Final

import click

from tenantapp.cli.arguments import jobs_option, json_option, server_option, since_option, slugs_argument
from tenantapp.cli.completing import slugs as slug_names
from tenantapp.cli.installation import Installation, pass_installation

# What tenants may be sorted by, as people say it, and as it is called.
SORTS: Final = {
    "requests": "requests",
    "milliseconds": "milliseconds",
    "database": "database_milliseconds",
    "bytes": "bytes_sent",
    "rows": "rows_written",
}
# What statements may be sorted by.
STATEMENT_SORTS: Final = {"total": "milliseconds", "worst": "worst_milliseconds", "calls": "calls"}


@click.group()
def fleet() -> None:
    """Check, mend and query all tenant databases together."""


@fleet.command()
@click.option("--fix", is_flag=True, help="Mend the problems that can be mended.")
@click.option("--yes", "confirmed", is_flag=True, help="With --fix: do not ask for confirmation.")
@click.option(
    "--unmarked", is_flag=True, help="With --fix: also remove what does not have the mark of this installation."
)
@json_option
@pass_installation
def reconcile(installation: Installation, fix: bool, confirmed: bool, unmarked: bool, as_json: bool) -> None:
    """Compare the user database with the servers.

    Finds databases and roles without a tenant, tenants without a database, stuck operations and old templates. With
    --fix it removes them and resumes the operations. The exit status is 0 if no problem is left.
    """
    from tenantapp.cli import reconciling

    reconciling.reconcile(installation, fix=fix, confirmed=confirmed, unmarked=unmarked, as_json=as_json)


@fleet.command()
@click.argument("statement")
@click.option("--tenants", "slugs", help="Slugs, separated by commas. Default: all tenants.")
@click.option("--format", "layout", type=click.Choice(["table", "csv", "jsonl"]), default="table", show_default=True)
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="The most rows of each tenant."
)
@click.option(
    "--timeout", type=click.FloatRange(0.1, 3600), default=30.0, show_default=True, help="Seconds for each tenant."
)
@jobs_option
@pass_installation
def query(
    installation: Installation, statement: str, slugs: str | None, layout: str, limit: int, timeout: float, jobs: int
) -> None:
    """Query many tenant databases.

    The statement is SQL and can only read. The answers go to standard output. Tenants that did not answer are named on
    stderr.
    """
    from tenantapp.cli import querying

    wanted = [slug.strip() for slug in slugs.split(",")] if slugs else []
    querying.query(installation, statement, wanted, layout, limit, timeout, jobs)


@fleet.command()
@slugs_argument
@jobs_option
@click.option("--suspend", is_flag=True, help="Suspend tenants whose database is drifted or foreign.")
@json_option
@pass_installation
def verify(installation: Installation, slugs: tuple[str, ...], jobs: int, suspend: bool, as_json: bool) -> None:
    """Check the structure of tenant databases.

    Checks the named tenants, or all: whose data the database has, its revision, and each table, column, constraint and
    index. The exit status is 0 only if all databases are right.
    """
    from tenantapp.cli import verifying

    verifying.verify(installation, slugs, jobs=jobs, suspend=suspend, as_json=as_json)


@fleet.command()
@click.option("--tenant", "slug", shell_complete=slug_names, help="Only entries about this tenant.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The most entries to show."
)
@json_option
@pass_installation
def audit(installation: Installation, slug: str | None, limit: int, as_json: bool) -> None:
    """Show the audit trail, newest first.

    It says who did what to which tenant. Each line has the time in UTC, the actor, the action, the tenant and the
    details.
    """
    from tenantapp.cli import audit_trail

    audit_trail.show_entries(installation, slug, limit, as_json)


@fleet.command()
@click.argument("slug", required=False, shell_complete=slug_names)
@since_option("24h")
@click.option(
    "--by", type=click.Choice(["tenant", "hour"]), help="What a line is for. Default: tenant, or hour if you name one."
)
@click.option(
    "--sort",
    type=click.Choice(list(SORTS)),
    help="With --by tenant: what the tenants with most come first of.  [default: requests]",
)
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The most lines to show.")
@json_option
@pass_installation
def usage(
    installation: Installation,
    slug: str | None,
    since: timedelta,
    by: str | None,
    sort: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show what tenants have used.

    Requests, their time, the time that they waited for the tenant's database, the bytes that were sent, and the rows
    that were written: of each tenant, or of each hour. An hour counts as a whole.
    """
    from tenantapp.cli import usage

    if (by or ("hour" if slug else "tenant")) == "tenant":
        usage.show_tenants(installation, slug, since, SORTS[sort or "requests"], limit, as_json)
    elif sort is not None:
        raise click.UsageError("Hours are sorted by time. Leave out --sort, or say --by tenant.")
    else:
        usage.show_hours(installation, slug, since, limit, as_json)


@fleet.command()
@click.option(
    "--by",
    type=click.Choice(["statement", "tenant"]),
    default="statement",
    show_default=True,
    help="Statements by their time, or tenants by the time that they waited for their database.",
)
@since_option("1h")
@click.option(
    "--sort",
    type=click.Choice(list(STATEMENT_SORTS)),
    help="With --by statement: what the statements with most come first of.  [default: total]",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="The most lines to show.")
@json_option
@pass_installation
def slowest(installation: Installation, by: str, since: timedelta, sort: str | None, limit: int, as_json: bool) -> None:
    """Show which statements and tenants took most of the databases' time.

    Statements are those of requests, of all processes and machines. They are shown without any values. An hour counts
    as a whole, and times of statements are kept for 7 days.
    """
    from tenantapp.cli import usage

    if by == "statement":
        usage.show_statements(installation, since, STATEMENT_SORTS[sort or "total"], limit, as_json)
    elif sort is not None:
        raise click.UsageError("Tenants are sorted by the time of their database. Leave out --sort.")
    else:
        usage.show_tenants(installation, None, since, SORTS["database"], limit, as_json)


@fleet.command()
@click.option(
    "--by",
    type=click.Choice(["tenants", "bytes", "load"]),
    default="tenants",
    show_default=True,
    help="What is to be spread: tenants, their bytes, or the time of their databases in the last 7 days.",
)
@server_option("Move all tenants away from this server.", "--drain", "drained")
@click.option("--limit", type=click.IntRange(1), help="The most moves.")
@click.option("--go", is_flag=True, help="Queue the moves for a worker.")
@click.option("--yes", "confirmed", is_flag=True, help="With --go: do not ask for confirmation.")
@json_option
@pass_installation
def rebalance(
    installation: Installation,
    by: str,
    drained: str | None,
    limit: int | None,
    go: bool,
    confirmed: bool,
    as_json: bool,
) -> None:
    """Plan moves of tenants, so that each server has what its weight says.

    The weights are those of the settings servers.NAME.weight; without any, all servers have the same. Tenants move
    between servers of one engine. Without --go it only shows the plan.
    """
    from tenantapp.cli import rebalancing

    rebalancing.rebalance(
        installation, by=by, drained=drained, limit=limit, go=go, confirmed=confirmed, as_json=as_json
    )


@fleet.command()
@slugs_argument
@click.option("--all", "everybody", is_flag=True, help="All tenants.")
@server_option("All tenants on this server.")
@json_option
@pass_installation
def new_epoch(
    installation: Installation, slugs: tuple[str, ...], everybody: bool, server: str | None, as_json: bool
) -> None:
    """Declare that tenants' content may have gone back.

    Use it after you restored a disk, a database server or the user database by other means, and after a failover to a
    standby that may lack the last commits. All ETags that clients hold become invalid: they read everything again, and
    a change of what they have read before is refused.
    """
    from tenantapp.cli import epochs

    if sum((bool(slugs), everybody, server is not None)) != 1:
        raise click.UsageError("Name tenants, or a server with --server, or all tenants with --all.")
    epochs.renew(installation, slugs, server, as_json)
