"""The upgrade of the user database by ``init``, while older programs may be running."""

from typing import Final

from tenantapp.cli.failures import CommandFailed
from tenantapp.databases.histories.oldest_program import Left
from tenantapp.databases.histories.upgrading import expand_user_database, upgrade_user_database
from tenantapp.settings import Settings

WHEN: Final = "Run `tenantapp init --contract` when no program runs any more that does not know revision"


def upgrade_users(settings: Settings, *, contract: bool) -> tuple[str, str]:
    """Upgrade the user database, with ``contract`` to the newest revision. Return the revision, and what is left.

    Raises ``CommandFailed`` if this version needs a revision that comes after one that older programs cannot work with.
    """
    if contract:
        return upgrade_user_database(settings), ""
    revision, left = expand_user_database(settings)
    if left is None:
        return revision, ""
    if left.needed is not None:
        raise CommandFailed(needed(left))
    return revision, f" {left.first} is left for later. {WHEN} {left.oldest_program}."


def needed(left: Left) -> str:
    """Say that this version cannot start with what is left."""
    return (
        f"This version needs revision {left.needed} of the user database. It comes after {left.first}, which programs "
        f"of an older version cannot work with. {WHEN} {left.oldest_program}"
    )
