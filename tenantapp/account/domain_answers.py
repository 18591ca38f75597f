"""The domains of a tenant as the API shows them."""

from datetime import datetime
from uuid import UUID

from tenantapp.answers import Answer


class Domain(Answer):
    """A domain of mail addresses that the tenant claims. It is the tenant's since ``verified_at``, if that is set.

    The proof is a TXT record with ``record_text`` at ``record_name``. Since ``missing_since`` it is not there.
    """

    id: UUID
    domain: str
    record_name: str
    record_text: str
    capture: bool
    created_at: datetime
    verified_at: datetime | None
    missing_since: datetime | None


class Domains(Answer):
    """The domains that the tenant claims."""

    items: list[Domain]
