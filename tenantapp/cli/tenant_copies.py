"""The work of ``tenants clone``, ``tenants move`` and ``tenants adopt``."""

from functools import partial
from typing import Any

from tenantapp.cli.installation import Installation
from tenantapp.cli.progress import progress_bar
from tenantapp.cli.queue_or_run import place_made, queue_or_run, show_asked
from tenantapp.fleet.copying.requests import request_adopt, request_clone, request_move
from tenantapp.fleet.kinds import KINDS
from tenantapp.operations.foreground import Request
from tenantapp.operations.queue import local_requester


def clone(installation: Installation, slug: str, new: str, detach: bool, as_json: bool, **options: Any) -> None:
    """Make a tenant from another tenant's data, and print where it is. ``options`` are those of ``request_clone``."""
    given: dict[str, Any] = {"fleet": installation.fleet, "requested_by": local_requester(), **options}
    _copy(installation, new, partial(request_clone, slug=slug, new_slug=new, **given), detach, as_json)


def move(installation: Installation, slug: str, server: str, detach: bool, as_json: bool, **options: Any) -> None:
    """Move a tenant to another server, and print where it is. ``options`` are those of ``request_move``."""
    given: dict[str, Any] = {"fleet": installation.fleet, "requested_by": local_requester(), **options}
    _copy(installation, slug, partial(request_move, slug=slug, server=server, **given), detach, as_json)


def adopt(installation: Installation, slug: str, database: str, detach: bool, as_json: bool, **options: Any) -> None:
    """Make a tenant from an existing database, and print where it is. ``options`` are those of ``request_adopt``."""
    given: dict[str, Any] = {"fleet": installation.fleet, "requested_by": local_requester(), **options}
    _copy(installation, slug, partial(request_adopt, slug=slug, database=database, **given), detach, as_json)


def _copy(installation: Installation, label: str, request: Request, detach: bool, as_json: bool) -> None:
    with progress_bar(label) as report:
        row = queue_or_run(installation, KINDS, request, detach=detach, report=report)
    said = None
    if not detach:
        row = place_made(installation, row["operation"]) | row
        said = f"The tenant {row['slug']} is ready: {row['database']} on {row['server']} ({row['method']})."
    show_asked(row, detach=detach, as_json=as_json, said=said)
