"""Keep the answers to requests that carry an idempotency key, in the transaction that does the work.

So the work and its answer are committed together, or neither is. While a request is running, the same key is locked. On
PostgreSQL that is an advisory lock of the transaction, which is tried and not waited for. On SQLite all writing
transactions of a database run one after the other, so a second request waits for the first, and finds its answer.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, insert, select, tuple_
from sqlalchemy.orm import Session

from tenantapp.sql.times import utcnow
from tenantapp.tenancy.errors import KeyInUse, KeyReused
from tenantapp.tenancy.known_tables import needs_table
from tenantapp.tenancy.models import IdempotencyKey, TenantBase

SWEEP_MOST: Final = 200  # expired answers that one request deletes
_KEYS: Final = TenantBase.metadata.tables[IdempotencyKey.__tablename__]


@dataclass(frozen=True, slots=True)
class KeyOfPerson:
    """An idempotency key, which each person in each tenant has for themselves.

    ``fingerprint`` is a digest of the whole request: the key may be used again only for the same one.
    """

    tenant_id: UUID
    person_id: UUID
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer to a request. ``body`` is None if it was too large to keep."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


def find_answer(session: Session, key: KeyOfPerson, kept_for: timedelta) -> KeptAnswer | None:
    """Return the answer that was given under this key, or None if the request has to be carried out now.

    The key is locked until the end of the transaction. Raises ``KeyInUse`` if another transaction has locked it,
    ``KeyReused`` if it was used for another request, and ``TenantMigrating`` if the database cannot keep answers yet.
    """
    if session.get_bind().dialect.name == "postgresql":
        # Two statements: the second must see what was committed before the lock was free.
        locked = session.scalar(select(func.pg_try_advisory_xact_lock(_lock_number(key))))
        if not locked:
            raise KeyInUse
    mine = (_KEYS.c.tenant_id == key.tenant_id, _KEYS.c.person_id == key.person_id, _KEYS.c.key == key.key)
    with needs_table(session, IdempotencyKey.__tablename__):
        # The lock on the row is a write. So the end of this transaction waits for the synchronous standby, which then
        # has the work as well: the first attempt may not have got that confirmation.
        row = session.execute(select(_KEYS).where(*mine).with_for_update(key_share=True)).one_or_none()
    if row is None:
        return None
    if row.created_at < utcnow() - kept_for:
        session.execute(delete(_KEYS).where(*mine))
        return None
    if row.fingerprint != key.fingerprint:
        raise KeyReused
    return KeptAnswer(row.status, json.loads(row.headers), row.body)


def keep_answer(session: Session, key: KeyOfPerson, answer: KeptAnswer, kept_for: timedelta) -> None:
    """Keep the answer, and delete some that have expired."""
    values = {"tenant_id": key.tenant_id, "person_id": key.person_id, "key": key.key, "fingerprint": key.fingerprint}
    given = {"status": answer.status, "headers": json.dumps(dict(answer.headers)), "body": answer.body}
    session.execute(insert(_KEYS).values(**values, **given, created_at=utcnow()))
    expired = select(*_KEYS.primary_key).where(_KEYS.c.created_at < utcnow() - kept_for).limit(SWEEP_MOST)
    # Those that another request is deleting are skipped, so nobody waits for anybody.
    expired = expired.with_for_update(skip_locked=True)
    session.execute(delete(_KEYS).where(tuple_(*_KEYS.primary_key).in_(expired)))


def _lock_number(key: KeyOfPerson) -> int:
    digest = hashlib.sha256(f"{key.tenant_id} {key.person_id} {key.key}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
