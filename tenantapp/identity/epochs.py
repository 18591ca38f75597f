"""Epochs: the incarnations of a tenant's content, which every entity tag carries (``tenantapp.api.conditions``).

A version number says nothing by itself: it is the same in a copy of the database, and returns when an older copy is
restored. So a tenant has an epoch, a random value, which changes whenever the content may go back or be another's.
"""

import secrets
from typing import Final
from uuid import UUID

EPOCH_LENGTH: Final = 11  # characters


def new_epoch() -> str:
    """Return a new epoch: 64 random bits in URL-safe characters."""
    return secrets.token_urlsafe(8)


def epoch_of(epoch: str | None, tenant_id: UUID) -> str:
    """Return a tenant's epoch. A tenant that an older version of the program made has none; its id serves instead."""
    return epoch or tenant_id.hex
