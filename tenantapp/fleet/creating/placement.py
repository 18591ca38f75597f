"""On which server a new tenant is made."""

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tenantapp.identity.models import Tenant, TenantState
from tenantapp.operations.fleet import Fleet
from tenantapp.tenancy.errors import ServerError
from tenantapp.tenancy.servers import Server


def server_for_new(session: Session, fleet: Fleet, named: str | None) -> Server:
    """Return the named server, or else the one with the fewest tenants for its weight.

    Tenants that are being made count, so several at once are spread as well. If no server of the settings has a weight,
    it is the default server. Raises ``ServerError`` if there is no such server, or none takes new tenants.
    """
    weights = fleet.settings.weights
    if named is not None or not weights:
        return fleet.servers.chosen(named)
    counts = tenants_on_servers(session)
    taking = {name: weight for name, weight in weights.items() if weight > 0}
    if not taking:
        raise ServerError("No server takes new tenants, because the weight of each is 0. Name one.")
    return fleet.servers[min(taking, key=lambda name: ((counts.get(name, 0) + 1) / taking[name], name))]


def tenants_on_servers(session: Session) -> Mapping[str, int]:
    """Return how many tenants are on each server, without those that are deleted."""
    counted = select(Tenant.server, func.count()).where(Tenant.state != TenantState.DELETED).group_by(Tenant.server)
    return dict(session.execute(counted).all())
