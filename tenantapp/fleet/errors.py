"""What can go wrong with work on the databases.

FleetError
+-- HistoryError            a migration history, or the domain's models, cannot be found or used
+-- DatabaseUnreachable     a database or a server does not answer
+-- DatabaseBusy            somebody else holds the database; nothing was changed
+-- MigrationFailed         a migration ended in an error and was rolled back
+-- ProvisioningFailed      a server did not make or remove a database
+-- TenantBusy              another operation is at work on the tenant
+-- OperationRefused        an operation is not in a state for this, or of a kind that this version does not know
+-- OperationStopped        the work on an operation is to go no further
|   +-- LeaseLost           because another worker has taken over
|   +-- OperationCancelled  because somebody cancelled it
|   +-- WorkerStopped       because the worker is to end; another one goes on
+-- MigrationRefused        a tenant's database cannot be moved to the revision that was asked for
+-- SnapshotFailed          a copy of a database could not be made or removed
|   +-- PuttingBackFailed   a copy could not be put back
+-- RevisionRefused         no revision was written
    +-- NothingToRevise     because the models and the migrations agree
"""


class FleetError(Exception):
    """Base of the room's errors. ``str(error)`` is one sentence for the operator."""


class HistoryError(FleetError):
    """A script location, a revision or the domain's models are missing or wrong."""


class DatabaseUnreachable(FleetError):
    """No connection could be made, or it broke."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Could not connect to {name}: {reason}.")


class DatabaseBusy(FleetError):
    """A lock could not be had in time."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Nothing was changed in {name}, for somebody else is using it; try again later.")


class MigrationFailed(FleetError):
    """The database is as it was before."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The migration of {name} failed and was rolled back: {reason}.")


class ProvisioningFailed(FleetError):
    """The server refused, most often for want of a privilege."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Could not make or remove a database on {name}: {reason}.")


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


class MigrationRefused(FleetError):
    """Nothing was changed."""


class SnapshotFailed(FleetError):
    """The database itself is as it was, or, if the copy could not be removed, as it is to be."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name[0].upper()}{name[1:]} could not be copied, or the copy not be removed: {reason}.")


class PuttingBackFailed(SnapshotFailed):
    """The migration failed, and what it may have left is still there. So is the copy."""

    def __init__(self, name: str, reason: str) -> None:
        FleetError.__init__(self, f"The copy of {name} could not be put back: {reason}.")


class RevisionRefused(FleetError):
    """Something is missing that a revision needs."""


class NothingToRevise(RevisionRefused):
    """The models and the migrations agree."""

    def __init__(self, package: str) -> None:
        super().__init__(
            f"The models and the migrations agree, so there is nothing to revise; models are looked for in the modules "
            f"of {package} called models or ..._models."
        )
