"""How many connections to a tenant's database a process may have: its part of the tenant's quota."""

from dataclasses import dataclass

from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace


@dataclass(frozen=True, slots=True)
class ConnectionQuotas:
    """``default`` is the quota of tenants that have none of their own, or None. ``processes`` is how many share it."""

    default: int | None
    processes: int

    @classmethod
    def of(cls, settings: Settings) -> "ConnectionQuotas":
        """Return those of the settings. The processes are those among which the budget is divided."""
        return cls(settings.quotas_connections, settings.connections_workers or 1)

    def part_of(self, place: TenantPlace) -> int | None:
        """Return how many connections this process may have to the tenant's database: at least one. None: any number.

        It counts for each server, as the budget does: a replica is a server of its own.
        """
        quota = self.default if place.connection_quota is None else place.connection_quota
        return None if quota is None else max(1, quota // self.processes)
