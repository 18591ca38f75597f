"""Sign the chains of the audit trail by the key that is derived from the present secret."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from tenantapp.audit.checkpoints import signing_key
from tenantapp.audit.errors import NotOurSignature
from tenantapp.audit.sealing import sign_again
from tenantapp.fleet.rotating.results import Rotated
from tenantapp.operations.fleet import Fleet

WHAT: Final = "signatures of the audit trail"


def rotate_signatures(fleet: Fleet, advance: Callable[[], Any]) -> Iterator[Rotated]:
    """Sign each chain again that is signed by the present or the former key."""
    key = signing_key(fleet.settings)
    if key is None:
        return
    try:
        with fleet.user_db.begin() as session:
            changed = sign_again(session, key, key.trusted)
    except NotOurSignature as error:
        yield Rotated(WHAT, "the user database", 0, str(error))
        return
    if changed:
        advance()
        yield Rotated(WHAT, "the user database", changed)
