"""The errors of work on tenant databases.

FleetError
+-- QueryFailed             a statement for many tenants failed on one
+-- BundleError             a tenant could not be written to a file, or read from one
|   +-- BundleRefused, BundleNotWritten
|   +-- NotPortable         the database holds something that a bundle cannot express
|   +-- LoadFailed          the database refused data of a bundle; the load was rolled back
+-- BackupError             a backup could not be made or restored
|   +-- BackupRefused       something is missing or does not fit; nothing was changed
|   |   +-- MomentRefused   a server cannot be restored as it was at a moment
|   +-- BackupFailed        a tool or the store failed
|   +-- BackupDamaged       a backup differs from what was written
|   +-- ShippedDamaged      a file of what was shipped of a SQLite database is missing or differs from what was written
|   +-- CopyNotProved       a copy, once restored, differs from the database; nothing was removed
+-- CopyRequired            a tenant is not removed, because no copy of it can be kept
+-- NotCopied               a tenant is not removed, because what is in it keeps a final copy from being made or proved
+-- CopyRefused             a tenant is not copied; nothing was made
+-- CopyFailed              a copy failed; what was made of it is undone
+-- FilesNotCarried         the storage of files does not answer
+-- HookFailed              a hook of the domain raised an exception
+-- HookMissing             the domain does not declare a hook any more
+-- LossNotAccepted         a SQLite file is not taken as it is
"""

from datetime import datetime

from tenantapp.operations.errors import FleetError


class QueryFailed(FleetError):
    """The statement is wrong, takes too long, or does more than read. ``reason`` is a short phrase."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The statement failed: {reason}.")
        self.reason = reason


class BundleError(FleetError):
    """Base of the errors of bundles."""


class BundleRefused(BundleError):
    """The bundle is cut off or altered, or comes from a newer version or another product."""

    def __init__(self, file: object, reason: str) -> None:
        super().__init__(f"The bundle {file} is refused: {reason}.")


class BundleNotWritten(BundleError):
    """The file could not be written."""

    def __init__(self, file: object, reason: str) -> None:
        super().__init__(f"Could not write the bundle {file}: {reason}.")


class NotPortable(BundleError):
    """A column's type, or a value, has no meaning on the other engine."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"Could not export {what}: {reason}.")


class LoadFailed(BundleError):
    """A statement that loads rows, or a constraint on them, failed."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The bundle could not be loaded into {name}: {reason}.")


class BackupError(FleetError):
    """Base of the errors of backups."""


class BackupRefused(BackupError):
    """A setting, a tool, a backup or the right server is missing. ``reason`` is the message without its beginning."""

    def __init__(self, reason: str, what: str = "backup") -> None:
        super().__init__(f"The {what} is refused: {reason}.")
        self.reason = reason


class MomentRefused(BackupRefused):
    """The archive of a server does not have the moment, or something is missing that restores it. Nothing was made."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "moment")


class BackupFailed(BackupError):
    """A tool or the store failed. ``reason`` is the first line of its message."""

    def __init__(self, tool: str, name: str, reason: str) -> None:
        super().__init__(f"{tool} failed on {name}: {reason}.")


class BackupDamaged(BackupError):
    """The size, the checksum, the record or the structure of a backup is wrong."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"The backup {file} is damaged: {reason}.")


class ShippedDamaged(BackupError):
    """A file of what was shipped is missing or damaged. ``good`` is the last moment that can be had before it."""

    def __init__(self, file: str, reason: str, good: datetime | None = None) -> None:
        until = "" if good is None else f"; the last good moment before it is {good.isoformat()}"
        super().__init__(f"What was shipped is damaged: {file}: {reason}{until}.")
        self.reason = reason


class CopyNotProved(BackupError):
    """The restored copy lacks something, or the database has changed since the copy was made."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The copy of {name} is not proved: after a restore, {reason}.")


class CopyRequired(FleetError):
    """The setting ``backups.store`` is missing, and nobody has allowed a removal without a copy."""

    def __init__(self, slug: str) -> None:
        super().__init__(
            f"The tenant {slug} is not removed: the setting backups.store names no place for its final copy. "
            f"`tenantapp tenants delete {slug} --now --without-copy` removes it without a copy."
        )


class NotCopied(FleetError):
    """Something in the database keeps a final copy from being made or proved. ``reason`` is a sentence.

    The people of a tenant can bring that about, so the message says how an operator removes the tenant nevertheless.
    """

    def __init__(self, slug: str, reason: str) -> None:
        super().__init__(
            f"{reason} Mend that and retry the removal; or `tenantapp tenants delete {slug} --now --without-copy` "
            "removes the tenant without a copy."
        )


class CopyRefused(FleetError):
    """Something is missing, or the database does not meet a requirement."""


class CopyFailed(FleetError):
    """The copy differs from what it should be."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Could not make a copy of {name}: {reason}.")


class FilesNotCarried(FleetError):
    """The storage of files does not answer, so the files of a tenant were not copied or removed."""

    def __init__(self, slug: object, reason: str) -> None:
        super().__init__(f"The files of the tenant {slug} were not carried: {reason}.")


class HookFailed(FleetError):
    """What a hook did is rolled back. ``__cause__`` is what it raised."""

    def __init__(self, hook: str, event: str, slug: str, error: Exception) -> None:
        said = str(error).strip().partition("\n")[0].rstrip(".")
        super().__init__(f"The hook {hook} ({event}) failed for the tenant {slug}: {type(error).__name__}: {said}.")


class HookMissing(FleetError):
    """An operation of the kind ``hook`` names a hook that this version of the domain does not have."""

    def __init__(self, hook: str, event: str) -> None:
        super().__init__(f"The domain declares no hook {hook} for the event {event} any more.")


class LossNotAccepted(FleetError):
    """No commit is lost, the database is not a SQLite file, or the file is damaged. Nothing was changed."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The loss of {name} is not accepted: {reason}.")
