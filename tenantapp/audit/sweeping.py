"""Delete old entries from the beginnings of the chains. What is left is a signed checkpoint: where each begins now."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tenantapp.audit.checkpoints import SigningKey, is_head_signed, sign_swept
from tenantapp.audit.models import TRAIL, AuditChain, of_chain
from tenantapp.audit.sealing import Sealer, trail_held
from tenantapp.identity.audit import record
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory

AT_ONCE: Final = 5000  # entries in one transaction: a statement ends within the server's limit


def sweep_trail(
    user_db: DBFactory,
    key: SigningKey | None,
    older: timedelta,
    *,
    keep_unsent: bool = False,
    at_once: int = AT_ONCE,
) -> int:
    """Delete the entries that are older than ``older``. Return how many.

    They are sealed first. An entry that was sealed behind a younger one stays until that one is old too. With
    ``keep_unsent``, so does what the stream has not taken. A chain whose end is not signed by ``key`` is left alone.
    """
    before = utcnow() - older
    sealer = Sealer(user_db, key)
    sealer.seal_all()
    sealer.record_again(before)
    with user_db.begin(read_only=True) as session:
        chains = session.scalars(select(AuditChain.chain)).all()
    sweep = partial(_sweep, user_db, key, before=before, keep_unsent=keep_unsent, at_once=at_once)
    total = sum(_repeated(partial(sweep, chain)) for chain in chains)
    if total:
        with user_db.begin() as session:
            record(session, "audit.sweep", detail={"entries": total, "before": before.isoformat()})
    return total


def _repeated(sweep: Callable[[], int]) -> int:
    total = 0
    while swept := sweep():
        total += swept
    return total


def _sweep(
    user_db: DBFactory,
    key: SigningKey | None,
    chain_id: UUID,
    *,
    before: datetime,
    keep_unsent: bool,
    at_once: int,
) -> int:
    with user_db.begin() as session:
        trail_held(session)
        chain = session.get_one(AuditChain, chain_id, with_for_update=True)
        most = min(chain.swept_position + at_once, chain.streamed if keep_unsent else chain.position)
        through = _through(session, chain, before, most)
        if through is None or not is_head_signed(chain, key):
            return 0
        position, hash = through
        swept = position - chain.swept_position
        chain.swept_position, chain.swept_hash, chain.swept_at = position, hash, utcnow()
        sign_swept(chain, key)
        # First the checkpoint: the database refuses to delete what lies behind it.
        session.flush()
        session.execute(delete(TRAIL).where(of_chain(chain_id), TRAIL.c.position <= position))
        return swept


def _through(session: Session, chain: AuditChain, before: datetime, most: int) -> tuple[int, bytes] | None:
    """Return the position, which is ``most`` at most, and the hash of the last entry to delete now, or None."""
    kept = select(TRAIL.c.position).where(of_chain(chain.chain), TRAIL.c.position.is_not(None), TRAIL.c.at >= before)
    first_kept = session.scalar(kept.order_by(TRAIL.c.position).limit(1)) or chain.position + 1
    last = min(first_kept - 1, most)
    if last <= chain.swept_position:
        return None
    hash = session.scalar(select(TRAIL.c.hash).where(of_chain(chain.chain), TRAIL.c.position == last))
    return None if hash is None else (last, hash)
