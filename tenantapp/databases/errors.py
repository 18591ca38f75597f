"""What can go wrong with one database.

FleetError
+-- HistoryError            a migration history, or the domain's models, cannot be found or used
|   +-- RevisionLoses       a revision removes something that it does not name
|   +-- UnknownRevision     a database, or a bundle, is at a revision that the history does not have
+-- DatabaseUnreachable     a database or a server does not answer
+-- DatabaseBusy            somebody else holds the database; nothing was changed, or only whole revisions
+-- ReadingFailed           a database could not be read; nothing was changed
|   +-- RowsHidden          because its policies keep rows from the role that reads it
+-- PrivilegesNotCarried    a database has privileges that cannot be given again in a copy
+-- RolesMissing            a server has no role to which something should be granted
+-- ExtensionsMissing       a server makes no extension that a database has
+-- ExtensionElsewhere      a database has an extension in another schema than a copy would have it
+-- ExtensionRowsNotCarried a table of an extension has rows that cannot be restored
+-- MigrationFailed         a migration ended in an error and was rolled back
|   +-- MigrationStopped    a part of it was committed before, and stays
+-- MigrationRefused        a tenant database cannot be migrated to the requested revision
+-- ProvisioningFailed      a server did not make or remove a database
|   +-- TemplateMissing     the template to copy does not exist any more
+-- SnapshotFailed          a copy of a database could not be made or removed
|   +-- PuttingBackFailed   a copy could not be put back
+-- RevisionRefused         no revision was written
    +-- NothingToRevise     the models and the migrations agree
"""

import json
from collections.abc import Sequence

from tenantapp.operations.errors import FleetError


class HistoryError(FleetError):
    """A script location, a revision or the domain's models are missing or wrong."""


class UnknownRevision(HistoryError):
    """The history does not have the revision, most often because a newer version of the program made it."""

    def __init__(self, revision: str) -> None:
        super().__init__(f"The tenant history has no revision {revision}; a newer version of the program may have it.")


class RevisionLoses(HistoryError):
    """A revision removes parts of a table that stays, and neither names them nor lists them in its ``loses``."""

    def __init__(self, revision: str, lost: Sequence[str]) -> None:
        self.parts = tuple(lost)
        listed = ", ".join(json.dumps(each, ensure_ascii=False) for each in lost)
        super().__init__(
            f"The revision {revision} loses what it does not name. Let it make this again, or write into it that it is "
            f"meant: loses = [{listed}]"
        )


class DatabaseUnreachable(FleetError):
    """No connection could be made, or it broke."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Could not connect to {name}: {reason}.")


class DatabaseBusy(FleetError):
    """A lock was not free in time. If revisions were applied before that, ``at`` says where the migration stopped."""

    def __init__(self, name: str, *, at: str | None = None) -> None:
        changed = f"Nothing was changed in {name}" if at is None else f"The migration of {name} stopped at {at}"
        super().__init__(f"{changed}, for somebody else is using it; try again later.")


class ReadingFailed(FleetError):
    """A statement that only reads ended in an error."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Could not read {name}: {reason}.")


class RowsHidden(ReadingFailed):
    """Row level security: https://www.postgresql.org/docs/current/ddl-rowsecurity.html"""


class PrivilegesNotCarried(FleetError):
    """Somebody else than the owner has granted them, or they are not ours to give. ``words`` say what they are."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(f"{name[0].upper()}{name[1:]} has something that no copy can be given: {words}.")


class NotRestorable(FleetError):
    """A function finds what it names by the search path, and a restore has none. ``what`` calls the function."""

    def __init__(self, name: str, what: str, reason: str) -> None:
        super().__init__(
            f"No copy of {name} could be restored, because the {what} needs a search path ({reason}): write the names "
            "in its functions with their schemas, or give these functions a search_path."
        )


class RolesMissing(FleetError):
    """Roles belong to a server, so each server needs those that a history names."""

    def __init__(self, server: str, roles: Sequence[str], name: str) -> None:
        listed = ", ".join(roles)
        super().__init__(f"The server {server} has no role {listed}, which {name} gives privileges to; make it first.")


class ExtensionsMissing(FleetError):
    """A tenant's role may not make every extension, so a server's setting names those that its own role makes."""

    def __init__(self, server: str, extensions: Sequence[str], name: str) -> None:
        listed = ", ".join(extensions)
        super().__init__(
            f"The server {server} makes no extension {listed}, which {name} has; install it on the server, and name it "
            f"in servers.{server}.extensions."
        )


class ExtensionElsewhere(FleetError):
    """A new database has an extension of the server's setting in ``public``, and what a dump has names its schema."""

    def __init__(self, server: str, extension: str, schema: str, name: str) -> None:
        super().__init__(
            f"{name[0].upper()}{name[1:]} has the extension {extension} in the schema {schema}, where no copy on the "
            f"server {server} can have it, because servers.{server}.extensions names it. In the tenant's database, "
            f"run: ALTER EXTENSION {extension} SET SCHEMA public."
        )


class ExtensionRowsNotCarried(FleetError):
    """A tenant's role restores a dump, and may not write them. ``table`` says where they are."""

    def __init__(self, name: str, table: str) -> None:
        super().__init__(
            f"{name[0].upper()}{name[1:]} has rows of its own in {table}, which no copy can be given, because the "
            "tenant's role may not write there."
        )


class MigrationFailed(FleetError):
    """The migration failed. The database is as it was before."""

    def __init__(self, name: str, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The migration of {name} failed and was rolled back: {reason}.")


class MigrationStopped(MigrationFailed):
    """The migration failed in a revision after something was committed.

    ``at`` has the revision of the database, and what else stays. If the failed revision commits by itself
    (``autocommit_block``), what it has committed stays as well.
    """

    def __init__(self, name: str, reason: str, failed: str | None, at: str) -> None:
        self.reason = reason
        where = "after its last revision" if failed is None else f"in the revision {failed}"
        FleetError.__init__(self, f"The migration of {name} failed {where} and stopped at {at}: {reason}.")


class MigrationRefused(FleetError):
    """The migration was not begun. Nothing was changed."""


class ProvisioningFailed(FleetError):
    """The server refused, most often because a privilege is missing."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Could not make or remove a database on {name}: {reason}.")


class TemplateMissing(ProvisioningFailed):
    """Another version of the program, or a person, has removed the template."""

    def __init__(self, name: str, template: str) -> None:
        super().__init__(name, f"there is no template {template}")


class SnapshotFailed(FleetError):
    """A copy could not be made or removed.

    The database itself is as it was before that.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name[0].upper()}{name[1:]} could not be copied, or the copy not be removed: {reason}.")


class PuttingBackFailed(SnapshotFailed):
    """A migration failed and the copy could not be put back.

    What the migration left in the database is still there, and so is the copy.
    """

    def __init__(self, name: str, reason: str) -> None:
        FleetError.__init__(self, f"The copy of {name} could not be put back: {reason}.")


class RevisionRefused(FleetError):
    """A revision needs something that is missing."""


class NothingToRevise(RevisionRefused):
    """The models and the migrations agree."""

    def __init__(self, package: str) -> None:
        super().__init__(
            f"The models and the migrations agree, so there is nothing to revise; models are looked for in the modules "
            f"of {package} called models or ..._models, also in its sub-packages."
        )
