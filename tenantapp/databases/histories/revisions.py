"""The tenant history as an order: what is older than what, and which way leads from one revision to another."""

from typing import Literal

from alembic.script import ScriptDirectory
from alembic.util import CommandError

from tenantapp.databases.errors import HistoryError, MigrationRefused
from tenantapp.databases.histories.histories import head_revision, script_directory
from tenantapp.settings import Settings, SettingsError

Direction = Literal["up", "down", "none"]


class TenantHistory:
    """The tenant history, its files read once. Raises ``HistoryError`` when it cannot be used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.script: ScriptDirectory = script_directory(settings, "tenant")
        self.head = head_revision(settings, "tenant")
        self._directions: dict[tuple[str | None, str], Direction] = {}

    def resolve(self, revision: str) -> str:
        """The full name of a revision: ``head``, a name, or the beginning of one. Raises ``HistoryError``."""
        try:
            found = self.script.get_revision(self.head if revision == "head" else revision)
        except CommandError as error:
            raise HistoryError(f"The tenant history has no revision {revision}: {str(error).rstrip('.')}.") from error
        if found is None:
            raise HistoryError(f"The tenant history has no revision {revision} that a tenant could be at.")
        return found.revision

    def up_to(self, revision: str) -> frozenset[str | None]:
        """A revision and all that lead to it, with None for a database that was never migrated."""
        found = self.script.iterate_revisions(revision, "base")
        return frozenset({None, *(each.revision for each in found)})

    def direction(self, found: str | None, wanted: str, *, down: bool = False) -> Direction:
        """The way from one revision to another: up, or, if that is what is asked for, down.

        Raises ``MigrationRefused`` when there is none, or when it leads the other way.
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
    """The revisions older than the setting ``migrations.oldest``; none without it. Raises ``SettingsError``."""
    if settings.migrations_oldest is None:
        return frozenset()
    try:
        history = TenantHistory(settings)
        oldest = history.resolve(settings.migrations_oldest)
        return history.up_to(oldest) - {oldest}
    except HistoryError as error:
        raise SettingsError(f"setting migrations.oldest: {str(error).rstrip('.')}") from error
