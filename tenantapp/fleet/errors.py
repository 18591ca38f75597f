"""What can go wrong with work on the databases.

FleetError
+-- HistoryError            a migration history, or the domain's models, cannot be found or used
|   +-- UnknownRevision     a database, or a bundle, is at a revision that the history does not have
+-- DatabaseUnreachable     a database or a server does not answer
+-- DatabaseBusy            somebody else holds the database; nothing was changed
+-- ReadingFailed           a database could not be read; nothing was changed
+-- QueryFailed             a statement for many tenants failed on one
+-- MigrationFailed         a migration ended in an error and was rolled back
+-- ProvisioningFailed      a server did not make or remove a database
|   +-- TemplateMissing     because the template it is to be a copy of is not there any more
+-- BundleError             a tenant could not be written to a file, or read from one
|   +-- BundleRefused, BundleNotWritten
|   +-- NotPortable         the database holds something that a bundle has no form for
|   +-- LoadFailed          the database did not take what is in a bundle; it was rolled back
+-- BackupError             a backup could not be made, or not be restored
|   +-- BackupRefused       something is missing, or does not fit; nothing was changed
|   +-- BackupFailed        a tool ended in an error
|   +-- BackupDamaged       a backup is not what was written
+-- TenantBusy              another operation is at work on the tenant
+-- OperationRefused        an operation is not in a state for this, or of a kind that this version does not know
+-- OperationStopped        the work on an operation is to go no further
|   +-- LeaseLost, OperationCancelled, WorkerStopped
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


class UnknownRevision(HistoryError):
    """Most often that of a newer version of the program."""

    def __init__(self, revision: str) -> None:
        super().__init__(f"The tenant history has no revision {revision}; a newer version of the program may have it.")


class DatabaseUnreachable(FleetError):
    """No connection could be made, or it broke."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Could not connect to {name}: {reason}.")


class DatabaseBusy(FleetError):
    """A lock could not be had in time."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Nothing was changed in {name}, for somebody else is using it; try again later.")


class ReadingFailed(FleetError):
    """A statement that only reads ended in an error."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Could not read {name}: {reason}.")


class QueryFailed(FleetError):
    """The statement is wrong, takes too long, or would do more than read. ``reason`` says so in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The statement failed: {reason}.")
        self.reason = reason


class MigrationFailed(FleetError):
    """The database is as it was before."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The migration of {name} failed and was rolled back: {reason}.")


class ProvisioningFailed(FleetError):
    """The server refused, most often for want of a privilege."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Could not make or remove a database on {name}: {reason}.")


class TemplateMissing(ProvisioningFailed):
    """Another version of the program has removed it, or somebody by hand."""

    def __init__(self, name: str, template: str) -> None:
        super().__init__(name, f"there is no template {template}")


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


class BundleError(FleetError):
    """Base of what can go wrong with bundles."""


class BundleRefused(BundleError):
    """Cut off, altered, of a newer version, or of another product."""

    def __init__(self, file: object, reason: str) -> None:
        super().__init__(f"The bundle {file} is refused: {reason}.")


class BundleNotWritten(BundleError):
    """The file could not be written."""

    def __init__(self, file: object, reason: str) -> None:
        super().__init__(f"Could not write the bundle {file}: {reason}.")


class NotPortable(BundleError):
    """A column's type, or a value, that means nothing to the other engine."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"Could not export {what}: {reason}.")


class LoadFailed(BundleError):
    """A statement that loads rows, or a constraint on them, ended in an error."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The bundle could not be loaded into {name}: {reason}.")


class BackupError(FleetError):
    """Base of what can go wrong with backups."""


class BackupRefused(BackupError):
    """A setting, a tool, or the right place is missing."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The backup is refused: {reason}.")


class BackupFailed(BackupError):
    """What the tool said, in its first line."""

    def __init__(self, tool: str, name: str, reason: str) -> None:
        super().__init__(f"{tool} failed on {name}: {reason}.")


class BackupDamaged(BackupError):
    """Its size, checksum, record or structure is another."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"The backup {file} is damaged: {reason}.")
