"""Who else vouches for a tenant's people?

``providers`` has the services by which an administrator configures the tenant's identity provider, of OpenID Connect.
``issuers`` reads what a provider publishes, and asks it for tokens; ``id_tokens`` checks what it says of a person.
``signing_in`` puts these together, and ``people`` finds or makes the person and gives them roles.

By SCIM, the directory behind a provider says who is there. ``provisioning_tokens`` has the tokens that it comes with,
``scim_storage`` and ``scim_service`` speak the protocol, ``directory`` does what the directory says, and
``provisioned`` finds whom it has told of.

``domains`` has the domains of mail addresses that a tenant has proved to be its own, by a record in the DNS that
``txt_records`` reads.
"""

from typing import Any


def includeme(config: Any) -> None:
    """Include ``application``. It is named, not imported, so that a command can import one module alone."""
    config.include("tenantapp.federation.application")
