"""The work of ``tenants sweep-files``."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from tenantapp.cli.backups import everybody
from tenantapp.cli.installation import Installation
from tenantapp.cli.many import fail_if_any, on_each
from tenantapp.cli.output import show_rows
from tenantapp.cli.queue_or_run import queue_or_run
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.removing.unlisted_files import request_sweep
from tenantapp.operations.outcomes import Report
from tenantapp.operations.queue import local_requester


def sweep(installation: Installation, slugs: Sequence[str], detach: bool, as_json: bool) -> None:
    """Sweep the files of these tenants, or of all if none is named. Raises ``CommandFailed``."""
    wanted = list(dict.fromkeys(slugs)) or everybody(installation)
    rows, failures = on_each(
        wanted, lambda slug, report: _sweep(installation, slug, detach, report), lambda slug: f"tenant {slug}"
    )
    if detach and not as_json:
        click.echo("\n".join(str(row["operation"]) for row in rows))
    elif rows or as_json:
        shown = rows if detach else [{"files": 0, "files_missing": 0, **row} for row in rows]
        show_rows(shown, ("slug", "files", "files_missing", "removed", "bytes"), as_json=as_json)
    fail_if_any(failures, len(wanted), "swept")


def _sweep(installation: Installation, slug: str, detach: bool, report: Report) -> dict[str, Any]:
    request = partial(request_sweep, fleet=installation.fleet, slug=slug, requested_by=local_requester())
    return {"slug": slug, **queue_or_run(installation, KINDS, request, detach=detach, report=report)}
