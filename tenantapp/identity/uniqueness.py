"""Report names that are taken."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tenantapp.identity.errors import AlreadyExists


def flush_unique(session: Session, kind: str, name: object) -> None:
    """Flush. Raises ``AlreadyExists`` if a unique constraint fails; the transaction must then be rolled back."""
    try:
        session.flush()
    except IntegrityError:
        raise AlreadyExists(kind, name) from None
