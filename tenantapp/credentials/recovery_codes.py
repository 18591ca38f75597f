"""Recovery codes, which stand in for a second factor that is lost. Each works once."""

import hashlib
from typing import Final, cast
from uuid import UUID

from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.orm import Session

from tenantapp.credentials.errors import InvalidCode
from tenantapp.credentials.models import RecoveryCode
from tenantapp.credentials.post import Post
from tenantapp.credentials.readable_secrets import readable_secret
from tenantapp.identity.audit import record
from tenantapp.identity.models import User

RECOVERY_CODE: Final = "recovery_code"  # the name of the factor
NUMBER: Final = 10
FEW: Final = 3  # from here on, people are told to make new ones


def renew(session: Session, user_id: UUID) -> list[str]:
    """Return new recovery codes. Those that the person had before no longer work."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = [readable_secret() for _ in range(NUMBER)]
    session.add_all(RecoveryCode(user_id=user_id, code_hash=_hash(code)) for code in codes)
    session.flush()
    record(session, "factor.renew_recovery_codes")
    return codes


def prove(session: Session, user_id: UUID, code: str) -> str:
    """Use a code of the person, and return the factor. Raises ``InvalidCode``, also for one that was used."""
    own = delete(RecoveryCode).where(RecoveryCode.user_id == user_id, RecoveryCode.code_hash == _hash(code))
    if cast("CursorResult[object]", session.execute(own)).rowcount != 1:
        raise InvalidCode
    return RECOVERY_CODE


def tell_used(session: Session, post: Post, user_id: UUID) -> None:
    """Have the person told at their confirmed address that a code was used, and how many are left."""
    user, left = session.get_one(User, user_id), number_left(session, user_id)
    name = "recovery-codes-few" if left <= FEW else "recovery-code-used"
    post.notice(session, user.mail_address, name, login=user.login, left=str(left))


def number_left(session: Session, user_id: UUID) -> int:
    """Return how many codes of the person were not used."""
    return session.scalar(select(func.count()).where(RecoveryCode.user_id == user_id)) or 0


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.replace("-", "").replace(" ", "").lower().encode()).digest()
