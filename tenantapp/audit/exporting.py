"""Read the trail as lines, each a JSON object: what is verified, and what ``tenantapp audit export`` writes.

The first line says what the file is. Then each chain has a line with its two signed ends, and a line for each entry, in
the order of sealing. Entries that are not sealed yet come last. Memory is bounded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from tenantapp.audit.canonical import plain, time_text
from tenantapp.audit.models import OF_NO_TENANT, TRAIL, AuditChain, of_chain
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.dbfactory import DBFactory

FORMAT: Final = 1
AT_ONCE: Final = 1000  # rows
Line = dict[str, Any]


@contextmanager
def one_moment(user_db: DBFactory) -> Iterator[Session]:
    """Yield a session for ``trail_lines`` that only reads, and sees the user database as of one moment."""
    with user_db.begin(read_only=True) as session:
        if session.get_bind().dialect.name == "postgresql":
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session


def trail_lines(session: Session, tenant_id: UUID | None = None) -> Iterator[Line]:
    """Yield the lines of the whole trail, or of the chain of one tenant."""
    yield {"audit_trail": FORMAT, "at": time_text(utcnow()), "whole": tenant_id is None}
    for chain in _chains(session) if tenant_id is None else [tenant_id]:
        yield _chain_line(chain, session.get(AuditChain, chain))
        sealed = select(TRAIL).where(of_chain(chain), TRAIL.c.hash.is_not(None)).order_by(TRAIL.c.position)
        for row in _rows(session, sealed):
            yield entry_line(row)
    waiting = select(TRAIL).where(TRAIL.c.hash.is_(None)).order_by(TRAIL.c.id)
    for row in _rows(session, waiting if tenant_id is None else waiting.where(TRAIL.c.tenant_id == tenant_id)):
        yield {"unsealed": plain(row)}


def entry_line(row: Any) -> Line:
    """Return the line of a sealed entry."""
    return {
        "position": row.position,
        "previous": row.previous.hex(),
        "hash": row.hash.hex(),
        "salt": row.salt and row.salt.hex(),
        "erased": row.erased,
        "entry": plain(row),
    }


def _chains(session: Session) -> list[UUID]:
    """Return the chains, first that of no tenant. A chain whose row is gone is found by its entries."""
    sealed = select(TRAIL.c.tenant_id).where(TRAIL.c.hash.is_not(None)).distinct()
    found = {tenant_id or OF_NO_TENANT for tenant_id in session.scalars(sealed)}
    return sorted({*found, *session.scalars(select(AuditChain.chain))})


def _rows(session: Session, statement: Select[Any]) -> Iterator[Row[Any]]:
    yield from session.execute(statement, execution_options={"yield_per": AT_ONCE})


def _chain_line(chain: UUID, row: AuditChain | None) -> Line:
    if row is None:
        return {"chain": str(chain), "head": None, "swept": None}
    head = _end(row.position, row.hash, row.at, row.key, row.signature)
    return {
        "chain": str(chain),
        "head": head,
        "swept": _end(row.swept_position, row.swept_hash, row.swept_at, row.swept_key, row.swept_signature),
    }


def _end(position: int, hash: bytes, at: Any, key: bytes | None, signature: bytes | None) -> Line:
    return {
        "position": position,
        "hash": hash.hex(),
        "at": time_text(at),
        "key": key and key.hex(),
        "signature": signature and signature.hex(),
    }
