"""Encrypt the secrets of authenticator apps under the present ``tenancy.secret``."""

from collections.abc import Callable, Iterator
from typing import Any

from tenantapp.credentials.authenticator_apps import encrypt_again
from tenantapp.fleet.rotating.results import Rotated
from tenantapp.identity.encrypted import Undecipherable, secrets_of
from tenantapp.operations.fleet import Fleet


def rotate_authenticator_apps(fleet: Fleet, advance: Callable[[], Any]) -> Iterator[Rotated]:
    """Yield how many secrets were encrypted again, if there were any. Raises ``UserDatabaseUnavailable``."""
    what, where = "authenticator apps", "the user database"
    try:
        with fleet.user_db.begin() as session:
            changed = encrypt_again(session, secrets_of(fleet.settings))
    except Undecipherable as error:
        yield Rotated(what, where, 0, str(error))
        return
    if changed:
        advance()
        yield Rotated(what, where, changed)
