"""Encrypt what identity providers know us by under the present secret."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from tenantapp.federation.providers import encrypt_again, list_providers
from tenantapp.fleet.rotating.results import Rotated
from tenantapp.identity.encrypted import Undecipherable, secrets_of
from tenantapp.operations.fleet import Fleet

WHAT: Final = "secrets of identity providers"


def rotate_client_secrets(fleet: Fleet, advance: Callable[[], Any]) -> Iterator[Rotated]:
    """Encrypt the secret of each identity provider again, and yield a result for the user database.

    One that cannot be read is a result with an error, and for its administrator to enter again. Raises
    ``UserDatabaseUnavailable``.
    """
    with fleet.user_db.begin(read_only=True) as session:
        found = [(provider.id, tenant.slug) for tenant, provider in list_providers(session)]
    changed, failed = 0, []
    for provider_id, slug in found:
        try:
            with fleet.user_db.begin() as session:
                changed += encrypt_again(session, provider_id, secrets_of(fleet.settings))
        except Undecipherable:
            failed.append(slug)
        advance()
    if found:
        error = f"Enter them again for {', '.join(failed)}: they cannot be read" if failed else None
        yield Rotated(WHAT, "the user database", changed, error)
