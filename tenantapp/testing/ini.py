"""The settings of a domain for its tests, from its ini file."""

from pathlib import Path
from typing import Final

from tenantapp.configuration import read_given_settings
from tenantapp.settings import BUNDLED_DOMAIN

# The groups of settings that say how the application behaves. The others name places, which tests must not touch, or
# say how much a machine can do.
BEHAVIOUR: Final = (
    "tenantapp.domain", "migrations.tenant", "migrations.user", "identity.", "session.", "tokens.", "service_accounts.",
    "api.", "changes.", "idempotency.", "files.", "jobs.",
)  # fmt: skip

PLACES: Final = ("files.storage",)


def domain_settings(path: Path) -> dict[str, str]:
    """Return the settings of an ini file that say how the application behaves, and those of the domain's own, as text.

    Raises ``SettingsError`` if the file cannot be read.
    """
    given = read_given_settings(path)
    own = f"{given.get('tenantapp.domain', BUNDLED_DOMAIN)}."
    return {name: value for name, value in given.items() if name.startswith((*BEHAVIOUR, own)) and name not in PLACES}
