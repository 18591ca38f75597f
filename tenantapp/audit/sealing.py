"""Seal the entries of the audit trail: a worker puts each behind the one before it in the chain of its tenant.

No request waits for it. The order of a chain is that of sealing: an entry whose transaction is committed late comes
after entries with greater ids.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from tenantapp.audit.beginnings import BEGIN, beginning_of, begun_chains
from tenantapp.audit.canonical import BEGINNING, digests_of, hash_of, new_salt, plain
from tenantapp.audit.checkpoints import (
    SigningKey,
    head_of,
    is_head_signed,
    is_recorded,
    is_signed,
    sign_head,
    sign_swept,
    swept_of,
)
from tenantapp.audit.errors import NotOurSignature
from tenantapp.audit.models import OF_NO_TENANT, TRAIL, AuditChain
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory

log = logging.getLogger(__name__)
BATCH: Final = 500  # entries in one transaction
LOCK: Final = 0x7465_6E61_7564  # of PostgreSQL's advisory locks, in the user database
LOOK_AGAIN: Final = 60.0  # seconds, at a chain whose signature was not right
SEAL: Final = ("position", "previous", "hash", "salt")
_SEAL: Final = (
    update(TRAIL)
    .where(TRAIL.c.id == bindparam("this"), TRAIL.c.hash.is_(None))
    .values({name: bindparam(name) for name in SEAL})
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
        self._all_recorded = False

    def seal(self) -> int:
        """Seal a batch of entries, the oldest first, and return how many. Zero if another process is sealing."""
        if not self._all_recorded:
            self._record_older_chains()
        if not self._is_any_waiting():
            return 0
        with self._user_db.begin() as session:
            return self._seal(session) if trail_held(session, wait=False) else 0

    def record_again(self, before: datetime) -> None:
        """Record the beginnings again that were recorded before this time, so that a sweep may delete those entries."""
        with self._user_db.begin() as session:
            trail_held(session)
            overall = session.get(AuditChain, OF_NO_TENANT, with_for_update=True)
            if overall is not None and is_head_signed(overall, self._key):
                for chain in sorted(begun_chains(session) - begun_chains(session, since=before)):
                    _record(session, overall, chain)
                sign_head(overall, self._key)

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
        left_out = [chain for chain in self._refused if self._is_refused(chain)]
        chain = func.coalesce(TRAIL.c.tenant_id, OF_NO_TENANT, type_=TRAIL.c.tenant_id.type)
        waiting = select(*columns).where(TRAIL.c.hash.is_(None), TRAIL.c.action != BEGIN).order_by(TRAIL.c.id)
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

    def _record_older_chains(self) -> None:
        """Record the beginnings of chains that were begun by a version that did not."""
        with self._user_db.begin(read_only=True) as session:
            older = {*session.scalars(select(AuditChain.chain))} - {OF_NO_TENANT} - begun_chains(session)
        in_order = sorted(older)
        for start in range(0, len(in_order), self._batch):
            with self._user_db.begin() as session:
                if not trail_held(session, wait=False):
                    return
                for chain in self._chains(session, {*in_order[start : start + self._batch]}).values():
                    sign_head(chain, self._key)
        self._all_recorded = True

    def _chains(self, session: Session, wanted: set[UUID]) -> dict[UUID, AuditChain]:
        """Return the chains that may be continued: those that are new, and those whose end is signed by us.

        Otherwise a new signature would cover what somebody has put in place of a chain. The chain of no tenant is
        among them, because it has the beginnings of the others.
        """
        found = {chain.chain: chain for chain in session.scalars(_locked({*wanted, OF_NO_TENANT}))}
        new = wanted - found.keys() - {OF_NO_TENANT}
        for chain in [chain for chain in found.values() if not is_head_signed(chain, self._key)]:
            del found[chain.chain]
            self._refuse(chain.chain, "its signature is not ours")
        if OF_NO_TENANT not in found and OF_NO_TENANT not in self._refused:
            self._begin_overall(session, found)
        self._record_beginnings(session, found, new)
        return found

    def _record_beginnings(self, session: Session, found: dict[UUID, AuditChain], new: set[UUID]) -> None:
        """Begin the new chains, and record the beginnings of all that are not recorded. Refuse those that are gone."""
        unsure = new | {chain.chain for chain in found.values() if not self._is_recorded(chain)} - {OF_NO_TENANT}
        begun = begun_chains(session, unsure) if unsure else set()
        for chain in sorted(unsure):
            if chain in new and chain in begun:
                self._refuse(chain, "it was begun before, and is gone")
            elif OF_NO_TENANT not in found:
                found.pop(chain, None)
                self._refuse(chain, "its beginning cannot be recorded")
            else:
                if chain in new:
                    found[chain] = _begun(session, chain, self._key)
                if chain not in begun:
                    _record(session, found[OF_NO_TENANT], chain)

    def _is_recorded(self, chain: AuditChain) -> bool:
        return self._key is not None and is_recorded(chain, self._key.trusted)

    def _begin_overall(self, session: Session, found: dict[UUID, AuditChain]) -> None:
        """Begin the chain of no tenant, unless something is left that says that there was one."""
        if begun_chains(session) or any(map(self._is_recorded, session.scalars(select(AuditChain)))):
            self._refuse(OF_NO_TENANT, "it was begun before, and is gone")
        else:
            found[OF_NO_TENANT] = _begun(session, OF_NO_TENANT, self._key)

    def _refuse(self, chain: UUID, why: str) -> None:
        if not self._is_refused(chain):
            log.error("The audit trail of %s is not sealed: %s. See `tenantapp audit verify`.", chain, why)
            self._refused[chain] = time.monotonic()

    def _is_refused(self, chain: UUID) -> bool:
        since = self._refused.get(chain)
        return since is not None and time.monotonic() - since < LOOK_AGAIN


def _locked(wanted: Iterable[UUID]) -> Any:
    return select(AuditChain).where(AuditChain.chain.in_(list(wanted))).order_by(AuditChain.chain).with_for_update()


def _begun(session: Session, chain: UUID, key: SigningKey | None) -> AuditChain:
    now = utcnow()
    begun = AuditChain(
        chain=chain, position=0, hash=BEGINNING, at=now, swept_position=0, swept_hash=BEGINNING, swept_at=now
    )
    sign_swept(begun, key)
    session.add(begun)
    return begun


def _record(session: Session, overall: AuditChain, chain: UUID) -> None:
    """Add a sealed entry to the chain of no tenant: that a chain begins."""
    entry = beginning_of(chain)
    values = _sealed(overall, entry)
    entry.position, entry.previous, entry.hash, entry.salt = (values[name] for name in SEAL)
    session.add(entry)


def _sealed(chain: AuditChain, entry: Any) -> dict[str, Any]:
    """Put an entry at the end of a chain, and return the values of its row."""
    content, salt, previous = plain(entry), new_salt(), chain.hash
    chain.position += 1
    chain.hash = hash_of(previous, content, digests_of(content, salt, None))
    return {"this": entry.id, "position": chain.position, "previous": previous, "hash": chain.hash, "salt": salt}


def sign_again(session: Session, key: SigningKey, trusted: Sequence[bytes]) -> int:
    """Sign the ends of all chains by a new key, after ``tenancy.secret`` was changed. Return how many there are.

    ``trusted`` has the former public key. It is empty if there was no secret before, so that nothing was signed. Raises
    ``NotOurSignature`` if a chain is signed otherwise.
    """
    chains = session.scalars(select(AuditChain).order_by(AuditChain.chain).with_for_update()).all()
    begun = begun_chains(session) if not trusted else set()
    for chain in chains:
        recorded = chain.chain in begun or is_recorded(chain, trusted)
        head = head_of(chain, recorded=recorded), chain.key, chain.signature
        swept = swept_of(chain), chain.swept_key, chain.swept_signature
        if not (is_signed(*head, trusted) and is_signed(*swept, trusted)) and (trusted or chain.key is not None):
            raise NotOurSignature(f"The audit trail {chain.chain} is not signed by that key; see `audit verify`")
        sign_head(chain, key, recorded=recorded)
        sign_swept(chain, key)
    return len(chains)
