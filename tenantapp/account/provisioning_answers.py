"""The tokens of a directory as the API shows them."""

from datetime import datetime
from uuid import UUID

from tenantapp.answers import Answer


class ProvisioningToken(Answer):
    """A token for the directory of the tenant, which comes by SCIM."""

    id: UUID
    name: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class MadeProvisioningToken(ProvisioningToken):
    """A new token for the directory. Its text, ``token``, is shown this once."""

    token: str


class ProvisioningTokens(Answer):
    """The tokens for the directory. ``base`` is the address that the directory is given."""

    items: list[ProvisioningToken]
    base: str
