"""The work that ``tenants backup`` and ``tenants sweep-files`` share: one operation for each of several tenants."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
from sqlalchemy import select

from tenantapp.cli.installation import Installation
from tenantapp.cli.many import fail_if_any, on_each
from tenantapp.cli.output import show_rows
from tenantapp.cli.queue_or_run import queue_or_run
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity.models import Tenant
from tenantapp.operations.models import Operation
from tenantapp.operations.outcomes import Report
from tenantapp.operations.queue import local_requester


@dataclass(frozen=True, slots=True)
class OnTenants:
    """An operation on each tenant: what requests it, the columns to show, and a past participle for its failures.

    ``otherwise`` is what a result shows of the columns that it leaves out.
    """

    request: Callable[..., Operation]
    columns: Sequence[str]
    verb: str
    otherwise: dict[str, Any]

    def run(self, installation: Installation, slugs: Sequence[str], detach: bool, as_json: bool) -> None:
        """Work on these tenants, or on all if none is named. Raises ``CommandFailed``."""
        wanted = list(dict.fromkeys(slugs)) or _everybody(installation)
        rows, failures = on_each(
            wanted, lambda slug, report: self._one(installation, slug, detach, report), lambda slug: f"tenant {slug}"
        )
        if detach and not as_json:
            click.echo("\n".join(str(row["operation"]) for row in rows))
        elif rows or as_json:
            shown = rows if detach else [{**self.otherwise, **row} for row in rows]
            show_rows(shown, self.columns, as_json=as_json)
        fail_if_any(failures, len(wanted), self.verb)

    def _one(self, installation: Installation, slug: str, detach: bool, report: Report) -> dict[str, Any]:
        request = partial(self.request, fleet=installation.fleet, slug=slug, requested_by=local_requester())
        return {"slug": slug, **queue_or_run(installation, KINDS, request, detach=detach, report=report)}


def _everybody(installation: Installation) -> list[str]:
    """Return the slugs of all tenants that are not deleted."""
    with installation.user_session(read_only=True) as session:
        return list(session.scalars(select(Tenant.slug).where(Tenant.is_served).order_by(Tenant.slug)))
