"""What can go wrong with what is done with the tenants' databases.

FleetError
+-- QueryFailed             a statement for many tenants failed on one
+-- BundleError             a tenant could not be written to a file, or read from one
|   +-- BundleRefused, BundleNotWritten
|   +-- NotPortable         the database holds something that a bundle has no form for
|   +-- LoadFailed          the database did not take what is in a bundle; it was rolled back
+-- BackupError             a backup could not be made, or not be restored
|   +-- BackupRefused       something is missing, or does not fit; nothing was changed
|   +-- BackupFailed        a tool ended in an error
|   +-- BackupDamaged       a backup is not what was written
+-- CopyRefused             a tenant is not copied, and nothing was made
+-- CopyFailed              what was made of a copy is undone
"""

from tenantapp.operations.errors import FleetError


class QueryFailed(FleetError):
    """The statement is wrong, takes too long, or would do more than read. ``reason`` says so in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The statement failed: {reason}.")
        self.reason = reason


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


class CopyRefused(FleetError):
    """Something is missing, or the database is not what it would have to be."""


class CopyFailed(FleetError):
    """The copy is not what it was to be."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Could not make a copy of {name}: {reason}.")
