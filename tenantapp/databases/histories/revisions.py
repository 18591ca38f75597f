"""The order of the tenant history: which revision is older, and which way leads from one to another."""

from typing import Literal

from alembic.script import ScriptDirectory
from alembic.util import CommandError

from tenantapp.databases.errors import HistoryError, MigrationRefused
from tenantapp.databases.histories.histories import head_revision, script_directory
from tenantapp.settings import Settings, SettingsError

Direction = Literal["up", "down", "none"]


class TenantHistory:
    """The tenant history. Its files are read once. Raises ``HistoryError`` if it cannot be used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.script: ScriptDirectory = script_directory(settings, "tenant")
        self.head = head_revision(settings, "tenant")
        self._directions: dict[tuple[str | None, str], Direction] = {}

    def resolve(self, revision: str) -> str:
        """Return the full name of a revision, from ``head``, a name, or the start of one. Raises ``HistoryError``."""
        try:
            found = self.script.get_revision(self.head if revision == "head" else revision)
        except CommandError as error:
            raise HistoryError(f"The tenant history has no revision {revision}: {str(error).rstrip('.')}.") from error
        if found is None:
            raise HistoryError(f"The tenant history has no revision {revision} that a tenant could be at.")
        return found.revision

    def up_to(self, revision: str) -> frozenset[str | None]:
        """Return a revision and all older ones that lead to it, and None for a database that was never migrated."""
        found = self.script.iterate_revisions(revision, "base")
        return frozenset({None, *(each.revision for each in found)})

    def direction(self, found: str | None, wanted: str, *, down: bool = False) -> Direction:
        """Return the way from one revision to another. With ``down`` it may not lead up, and without it not down.

        Raises ``MigrationRefused`` if there is no way, or if it leads in the other direction.
        """
        if (found, wanted) not in self._directions:
            self._directions[found, wanted] = self._find_direction(found, wanted)
        direction = self._directions[found, wanted]
        if direction == ("up" if down else "down"):
            raise MigrationRefused(f"It is at {found}, which is {'older' if down else 'newer'} than {wanted}.")
        return direction

    def _find_direction(self, found: str | None, wanted: str) -> Direction:
        if found == wanted:
            return "none"
        if found in self.up_to(wanted):
            return "up"
        try:
            self.script.get_revision(str(found))
        except CommandError:
            raise MigrationRefused(f"It is at the revision {found}, which this version does not know.") from None
        if wanted in self.up_to(str(found)):
            return "down"
        raise MigrationRefused(f"No way leads from its revision {found} to {wanted}.")


def outdated_revisions(settings: Settings) -> frozenset[str | None]:
    """Return the revisions older than the setting ``migrations.oldest``, or none if it is not set.

    Raises ``SettingsError`` if the history does not have that revision.
    """
    if settings.migrations_oldest is None:
        return frozenset()
    try:
        history = TenantHistory(settings)
        oldest = history.resolve(settings.migrations_oldest)
        return history.up_to(oldest) - {oldest}
    except HistoryError as error:
        raise SettingsError(f"setting migrations.oldest: {str(error).rstrip('.')}") from error
