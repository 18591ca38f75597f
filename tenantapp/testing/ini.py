"""The settings of a domain for its tests, from its ini file."""

from pathlib import Path
from typing import Final

from tenantapp.configuration import read_given_settings
from tenantapp.setting_table import TABLE
from tenantapp.settings import FOREIGN_PREFIXES, OF_A_SERVER

# The groups of settings that say how the application behaves. The others name places, which tests must not touch, or
# say how much a machine can do.
BEHAVIOUR: Final = (
    "tenantapp.domain", "migrations.tenant", "migrations.user", "identity.", "session.", "tokens.", "service_accounts.",
    "api.", "changes.", "idempotency.", "files.", "jobs.", "mail.from",
)  # fmt: skip

OURS: Final = frozenset(setting.name for setting in TABLE)
PLACES: Final = ("files.storage",)


def domain_settings(path: Path) -> dict[str, str]:
    """Return the settings of an ini file that say how the application behaves, and those of the domain's own, as text.

    Raises ``SettingsError`` if the file cannot be read.
    """
    return {name: value for name, value in read_given_settings(path).items() if _is_behaviour(name)}


def _is_behaviour(name: str) -> bool:
    if name in OURS or name.startswith((*OF_A_SERVER, *FOREIGN_PREFIXES)):
        return name.startswith(BEHAVIOUR) and name not in PLACES
    return True
