"""Let people who register begin with a tenant of their own."""

from sqlalchemy.orm import Session

from tenantapp.fleet.creating.create import request_create
from tenantapp.identity.models import User
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.models import Operation


def request_own_tenant(session: Session, fleet: Fleet, user: User, slug: str, name: str) -> Operation:
    """Have a tenant made of which the person is the administrator. With a warm database it is there at once.

    It is the operation that ``tenantapp tenants create`` requests. Raises ``InvalidValue``, ``AlreadyExists``,
    ``ServerError``, ``HistoryError`` and ``SettingsError``.
    """
    return request_create(session, fleet, slug, name=name, administrator=user.login, requested_by=user.login)
