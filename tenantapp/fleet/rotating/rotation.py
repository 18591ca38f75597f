"""Change whatever depends on ``tenancy.secret``.

Processes that have both secrets go on meanwhile. Each rotation can be run again, whether it ended or not.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from tenantapp.fleet.rotating.results import Rotated
from tenantapp.fleet.rotating.role_passwords import rotate_role_passwords
from tenantapp.fleet.rotating.signatures import rotate_signatures
from tenantapp.fleet.rotating.stored_secrets import rotate_stored_secrets
from tenantapp.identity.audit import record
from tenantapp.operations.fleet import Fleet

Rotation = Callable[[Fleet, Callable[[], Any]], Iterator[Rotated]]

# All that depends on the secret.
ROTATIONS: Final[tuple[Rotation, ...]] = (rotate_role_passwords, rotate_stored_secrets, rotate_signatures)


def rotate(fleet: Fleet, advance: Callable[[], Any]) -> list[Rotated]:
    """Change all that depends on the secret, and return what was changed. The audit trail records it.

    ``advance`` is called for each thing that is changed. What fails is a result with an error, and the rest goes on.
    Raises ``UserDatabaseUnavailable``.
    """
    results = [result for rotation in ROTATIONS for result in rotation(fleet, advance)]
    detail = {
        "changed": sum(result.changed for result in results),
        "failed": [result.where for result in results if result.error is not None],
    }
    with fleet.user_db.begin() as session:
        record(session, "fleet.rotate_secret", detail=detail)
    return results
