"""Seal the entries of the audit trail: a worker puts each behind the one before it in the chain of its tenant.

No request waits for it. The order of a chain is that of sealing: an entry whose transaction is committed late comes
after entries with greater ids.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import Row, bindparam, func, select, update
from sqlalchemy.orm import Session

from tenantapp.audit.canonical import BEGINNING, digests_of, hash_of, new_salt, plain
from tenantapp.audit.checkpoints import SigningKey, head_of, is_head_signed, is_signed, sign_head, sign_swept, swept_of
from tenantapp.audit.errors import NotOurSignature
from tenantapp.audit.models import OF_NO_TENANT, TRAIL, AuditChain
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory

log = logging.getLogger(__name__)
BATCH: Final = 500  # entries in one transaction
LOCK: Final = 0x7465_6E61_7564  # of PostgreSQL's advisory locks, in the user database
LOOK_AGAIN: Final = 60.0  # seconds, at a chain whose signature was not right
_SEAL: Final = (
    update(TRAIL)
    .where(TRAIL.c.id == bindparam("this"), TRAIL.c.hash.is_(None))
    .values({name: bindparam(name) for name in ("position", "previous", "hash", "salt")})
)


def trail_held(session: Session, *, wait: bool = True) -> bool:
    """Hold the trail until the transaction ends: nobody else seals, sweeps or erases. Return whether it is held.

    On SQLite a writing transaction excludes the others anyway.
    """
    if session.get_bind().dialect.name != "postgresql":
        return True
    if wait:
        session.execute(select(func.pg_advisory_xact_lock(LOCK)))
        return True
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(LOCK))))


class Sealer:
    """Seals in the name of an installation. ``key`` signs; without one the chains are not signed."""

    def __init__(self, user_db: DBFactory, key: SigningKey | None, batch: int = BATCH) -> None:
        self._user_db, self._key, self._batch = user_db, key, batch
        self._refused: dict[UUID, float] = {}

    def seal(self) -> int:
        """Seal a batch of entries, the oldest first, and return how many. Zero if another process is sealing."""
        if not self._is_any_waiting():
            return 0
        with self._user_db.begin() as session:
            return self._seal(session) if trail_held(session, wait=False) else 0

    def seal_all(self) -> int:
        """Seal until nothing is left, or another process does it. Return how many entries were sealed."""
        total = 0
        while sealed := self.seal():
            total += sealed
        return total

    def _is_any_waiting(self) -> bool:
        # Without the write lock, of which SQLite has only one.
        with self._user_db.begin(read_only=True) as session:
            return session.scalar(self._waiting(TRAIL.c.id).limit(1)) is not None

    def _waiting(self, *columns: Any) -> Any:
        left_out = [chain for chain, since in self._refused.items() if time.monotonic() - since < LOOK_AGAIN]
        chain = func.coalesce(TRAIL.c.tenant_id, OF_NO_TENANT, type_=TRAIL.c.tenant_id.type)
        waiting = select(*columns).where(TRAIL.c.hash.is_(None)).order_by(TRAIL.c.id)
        return waiting.where(chain.not_in(left_out)) if left_out else waiting

    def _seal(self, session: Session) -> int:
        entries = session.execute(self._waiting(TRAIL).limit(self._batch)).all()
        chains = self._chains(session, {entry.tenant_id or OF_NO_TENANT for entry in entries})
        sealed = [
            _sealed(chains[chain], entry) for entry in entries if (chain := entry.tenant_id or OF_NO_TENANT) in chains
        ]
        for chain in chains.values():
            chain.at = utcnow()
            sign_head(chain, self._key)
        if sealed:
            session.execute(_SEAL, sealed)
        return len(sealed)

    def _chains(self, session: Session, wanted: Iterable[UUID]) -> dict[UUID, AuditChain]:
        """Return the chains that may be continued: those that are new, and those whose end is signed by us.

        Otherwise a new signature would cover what somebody has put in place of a chain.
        """
        found = {chain.chain: chain for chain in session.scalars(_locked(wanted))}
        for missing in set(wanted) - found.keys():
            found[missing] = _begun(missing, self._key)
            session.add(found[missing])
        for chain in [chain for chain in found.values() if chain.position and not is_head_signed(chain, self._key)]:
            del found[chain.chain]
            self._refused[chain.chain] = time.monotonic()
            log.error("The audit trail of %s is not sealed: its signature is not ours. `audit verify`.", chain.chain)
        return found


def _locked(wanted: Iterable[UUID]) -> Any:
    return select(AuditChain).where(AuditChain.chain.in_(list(wanted))).order_by(AuditChain.chain).with_for_update()


def _begun(chain: UUID, key: SigningKey | None) -> AuditChain:
    now = utcnow()
    begun = AuditChain(
        chain=chain, position=0, hash=BEGINNING, at=now, swept_position=0, swept_hash=BEGINNING, swept_at=now
    )
    sign_swept(begun, key)
    return begun


def _sealed(chain: AuditChain, entry: Row[Any]) -> dict[str, Any]:
    """Put an entry at the end of a chain, and return the values of its row."""
    content, salt, previous = plain(cast(Any, entry)), new_salt(), chain.hash
    chain.position += 1
    chain.hash = hash_of(previous, content, digests_of(content, salt, None))
    return {"this": entry.id, "position": chain.position, "previous": previous, "hash": chain.hash, "salt": salt}


def sign_again(session: Session, key: SigningKey, trusted: Sequence[bytes]) -> int:
    """Sign the ends of all chains by a new key, after ``tenancy.secret`` was changed. Return how many there are.

    ``trusted`` has the former public key. It is empty if there was no secret before, so that nothing was signed. Raises
    ``NotOurSignature`` if a chain is signed otherwise.
    """
    chains = session.scalars(select(AuditChain).order_by(AuditChain.chain).with_for_update()).all()
    for chain in chains:
        head = head_of(chain), chain.key, chain.signature
        swept = swept_of(chain), chain.swept_key, chain.swept_signature
        if not (is_signed(*head, trusted) and is_signed(*swept, trusted)) and (trusted or chain.key is not None):
            raise NotOurSignature(f"The audit trail {chain.chain} is not signed by that key; see `audit verify`")
        sign_head(chain, key)
        sign_swept(chain, key)
    return len(chains)
