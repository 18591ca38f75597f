"""Name passkeys by what made them: an authenticator says its model by an AAGUID (WebAuthn Level 3, section 6.5.1).

The names are in a file of the operator's, a JSON object of ``{AAGUID: {"name": NAME}}``. The community keeps one, of
what people meet: github.com/passkeydeveloper/passkey-authenticator-aaguids.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final
from uuid import UUID

import orjson

from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.names import clean_name
from tenantapp.settings import Settings, SettingsError

NO_NAMES: Final[Mapping[UUID, str]] = MappingProxyType({})
UNKNOWN: Final = "Passkey"


def passkey_names(settings: Settings) -> Mapping[UUID, str]:
    """Return the names in the file of the setting ``passkeys.names``. Raises ``SettingsError``."""
    if settings.passkeys_names is None:
        return NO_NAMES
    path = Path(settings.passkeys_names)
    try:
        read = orjson.loads(path.read_bytes())
        return MappingProxyType({UUID(aaguid): clean_name(each["name"]) for aaguid, each in read.items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, InvalidValue) as error:
        raise SettingsError(
            f"passkeys.names: {path} has no names of passkeys as {{AAGUID: {{'name': NAME}}}}: {error}"
        ) from error


def name_for(aaguid: UUID, names: Mapping[UUID, str], taken: Collection[str], now: datetime) -> str:
    """Return a name for a new passkey that the person can tell from those they have (``taken``)."""
    known = names.get(aaguid)
    if known is not None and known not in taken:
        return known
    return f"{known or UNKNOWN} {now:%Y-%m-%d}"
