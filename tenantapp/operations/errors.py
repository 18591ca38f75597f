"""What can go wrong with long work.

FleetError                  base of the errors of this room and of the rooms on it, `databases/` and `fleet/`
+-- TenantBusy              another operation is at work on the tenant
+-- OperationRefused        an operation is not in a state for this, or of a kind that this version does not know
+-- OperationStopped        the work on an operation is to go no further
    +-- LeaseLost, OperationCancelled, WorkerStopped
"""


class FleetError(Exception):
    """Base of the errors of work on the databases. ``str(error)`` is one sentence for the operator."""


class TenantBusy(FleetError):
    """One operation at a time works on a tenant."""

    def __init__(self, slug: str | None) -> None:
        super().__init__(f"Another operation is at work on the tenant {slug}; see `tenantapp operations list`.")


class OperationRefused(FleetError):
    """An operation cannot be retried, cancelled or run."""


class OperationStopped(FleetError):
    """Base of what a step's ``check`` raises."""


class LeaseLost(OperationStopped):
    """The lease ran out, and somebody else has taken the operation up, or it is finished."""

    def __init__(self) -> None:
        super().__init__("Another worker has taken the operation over.")


class OperationCancelled(OperationStopped):
    """Somebody asked for it."""

    def __init__(self) -> None:
        super().__init__("The operation was cancelled.")


class WorkerStopped(OperationStopped):
    """The worker is to end."""

    def __init__(self) -> None:
        super().__init__("The worker was stopped; another one goes on with the operation.")
