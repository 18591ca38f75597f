"""Record in the audit trail whose data an operator asks for."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from sqlalchemy.orm import Session

from tenantapp.identity.audit import record
from tenantapp.tenancy.access import TenantPlace

RECORDED: Final = 1000  # characters of a statement that the audit trail keeps


def record_query(session: Session, places: Iterable[TenantPlace], statement: str, rows: int) -> None:
    """Write an entry for each of these tenants, whose data is about to be read: ``rows`` of each at most.

    A long statement is cut and identified by its SHA-256.
    """
    detail = {"statement": statement[:RECORDED], "rows": rows}
    if len(statement) > RECORDED:
        detail["sha256"] = sha256(statement.encode()).hexdigest()
    for place in places:
        record(session, "fleet.query", tenant_id=place.id, slug=place.slug, detail=detail)
