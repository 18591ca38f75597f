"""The errors of long work.

FleetError                  base of the errors of this package, `databases` and `fleet`
+-- TenantBusy              another operation works on the tenant
+-- OperationRefused        the operation's state forbids this, or this version does not know its kind
+-- OperationStopped        the work on an operation must stop
    +-- LeaseLost, OperationCancelled, WorkerStopped
"""


class FleetError(Exception):
    """Base of the errors of work on the databases. ``str(error)`` is one sentence for the operator."""


class TenantBusy(FleetError):
    """Another operation works on the tenant. Only one may at a time."""

    def __init__(self, slug: str | None) -> None:
        super().__init__(f"Another operation is at work on the tenant {slug}; see `tenantapp operations list`.")


class OperationRefused(FleetError):
    """An operation cannot be retried, cancelled or run."""


class OperationStopped(FleetError):
    """Base of the errors that a step's ``check`` raises."""


class LeaseLost(OperationStopped):
    """The lease ran out and another worker has taken over, or the operation is finished."""

    def __init__(self) -> None:
        super().__init__("Another worker has taken the operation over.")


class OperationCancelled(OperationStopped):
    """Somebody asked to cancel the operation."""

    def __init__(self) -> None:
        super().__init__("The operation was cancelled.")


class WorkerStopped(OperationStopped):
    """The worker must end."""

    def __init__(self) -> None:
        super().__init__("The worker was stopped. Another worker will resume the operation.")
