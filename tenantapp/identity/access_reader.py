"""Check access by one statement on the user database for every request.

On PostgreSQL the statement is prepared once per connection, because planning the join takes most of its time. It runs
in autocommit mode, outside the request's transaction, so it costs one round trip and holds no lock.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Select,
    SQLColumnExpression,
    Text,
    bindparam,
    false,
    select,
    update,
)
from sqlalchemy.exc import TimeoutError
from sqlalchemy.orm import Session

from tenantapp.identity.effective import granted_tenants, granted_text, read_granted, read_tenants
from tenantapp.identity.models import Role, Tenant, TenantState, User, WebSession
from tenantapp.identity.names import SLUG
from tenantapp.sql.errors import DatabaseUnavailable, SqlError
from tenantapp.sql.failures import Cause, Failure
from tenantapp.sql.prepared import PreparedSelect
from tenantapp.sql.times import UtcDateTime
from tenantapp.tenancy.access import Access, GrantedTenant, Person, TenantPlace
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import (
    TenancyError,
    TenantDatabaseUnavailable,
    TenantForbidden,
    TenantMigrating,
    TenantRequired,
    TenantSuspended,
)

log = logging.getLogger(__name__)

# ``last_seen_at`` is written at most once a minute, so that most requests only read.
SEEN_INTERVAL: Final = timedelta(seconds=60)
PARAMETER_TYPES: Final = {"token_hash": "bytea", "now": "timestamptz", "idle_since": "timestamptz"}
NAMED_TYPES: Final = {**PARAMETER_TYPES, "slug": "text"}
_TOKEN_HASH: Final = bindparam("token_hash", type_=LargeBinary)
_NOW: Final = bindparam("now", type_=UtcDateTime)
_IDLE_SINCE: Final = bindparam("idle_since", type_=UtcDateTime)
_SLUG: Final = bindparam("slug", type_=Text)


def access_statement(*further: ColumnElement[Any], named: bool = False) -> Select[*tuple[Any, ...]]:
    """Return the SELECT of all that a request needs, by the hash of its web session's token.

    ``further`` are additional columns. The tenant is the one that the web session has selected, or with ``named`` the
    one that has the parameter ``slug``. The SELECT has no row if there is no such session, if it has expired, or if the
    person is disabled.
    """
    tenant_id: SQLColumnExpression[UUID | None] = Tenant.id if named else WebSession.tenant_id
    return (
        select(
            User.id.label("user_id"),
            User.login.label("login"),
            User.name.label("user_name"),
            User.operator.label("operator"),
            WebSession.id.label("web_session_id"),
            WebSession.last_seen_at.label("last_seen_at"),
            WebSession.expires_at.label("expires_at"),
            Tenant.id.label("tenant_id"),
            Tenant.slug.label("slug"),
            Tenant.name.label("tenant_name"),
            Tenant.state.label("state"),
            Tenant.state_reason.label("state_reason"),
            Tenant.revision.label("revision"),
            Tenant.migrating_until.label("migrating_until"),
            Tenant.server.label("server"),
            Tenant.database.label("database"),
            granted_text(WebSession.user_id, tenant_id).label("granted"),
            *further,
        )
        .select_from(WebSession)
        .join(User, User.id == WebSession.user_id)
        .outerjoin(Tenant, Tenant.slug == _SLUG if named else Tenant.id == WebSession.tenant_id)
        .where(WebSession.token_hash == _TOKEN_HASH, WebSession.expires_at > _NOW)
        .where(WebSession.last_seen_at > _IDLE_SINCE, User.enabled)
    )


class AccessReader:
    """Reads accesses from the user database. ``database`` must be in autocommit mode."""

    def __init__(self, database: DBFactory, idle_timeout: timedelta) -> None:
        self.database = database
        self.outdated: frozenset[str | None] = frozenset()
        """The revisions of tenant databases that are too old for this version of the program."""
        self._idle_timeout = idle_timeout
        self._write_from = datetime.min.replace(tzinfo=UTC)
        self._statements = {
            (named, tenants): _prepared(named, tenants) for named in (False, True) for tenants in (False, True)
        }

    def read(
        self, token_hash: bytes, now: datetime, *, slug: str | None = None, tenants: bool = False
    ) -> Access | None:
        """Return the access of a web session, or None if the session has ended or expired.

        ``slug`` names the tenant; without it, the session's choice counts. Text that is no slug names no tenant. With
        ``tenants``, the access has the tenants that the person may choose. Raises ``UserDatabaseUnavailable``.
        """
        values: dict[str, Any] = {"token_hash": token_hash, "now": now, "idle_since": now - self._idle_timeout}
        if slug is not None:
            # The database is not asked for text that it might not accept.
            values["slug"] = slug if SLUG.fullmatch(slug) else ""
        rows = self.database.fetch(self._statements[slug is not None, tenants], values)
        if not rows:
            return None
        row = rows[0]
        if now - row.last_seen_at >= SEEN_INTERVAL and now >= self._write_from:
            self._write_last_seen(token_hash, now)
        return _access(row, now, self.outdated, named=slug is not None)

    def check(self) -> None:
        """Raise ``UserDatabaseUnavailable`` unless the user database answers and can be written to."""
        with self.database.engine.connect() as connection:
            # Read to the end: an open result would keep its snapshot on the pooled connection.
            connection.execute(select(Role.name).limit(1)).all()
            # This changes no row, and both engines refuse it if the database is read-only.
            connection.execute(update(Role).where(false()).values(name=Role.name))

    def read_within(self, session: Session, token_hash: bytes, now: datetime) -> Access | None:
        """Return the access with its tenants, read in a transaction that has just written the web session."""
        values = {"token_hash": token_hash, "now": now, "idle_since": now - self._idle_timeout}
        row = session.execute(self._statements[False, True].statement, values).one_or_none()
        return None if row is None else _access(row, now, self.outdated)

    def _write_last_seen(self, token_hash: bytes, now: datetime) -> None:
        statement = (
            update(WebSession)
            .where(WebSession.token_hash == token_hash, WebSession.last_seen_at <= now - SEEN_INTERVAL)
            .values(last_seen_at=now)
        )
        try:
            with self.database.engine.connect() as connection:
                connection.execute(statement)
        except (SqlError, TimeoutError) as error:
            # Somebody holds the lock, or the database is read-only at present. This request need not fail, and the next
            # ones need not wait: they do not try again for a minute.
            self._write_from = now + SEEN_INTERVAL
            reason = error.for_log() if isinstance(error, DatabaseUnavailable) else error
            log.warning("The time when a web session was last seen could not be written: %s", reason)


def _prepared(named: bool, tenants: bool) -> PreparedSelect[Any]:
    further = [granted_tenants(WebSession.user_id).label("tenants")] if tenants else []
    name = f"tenantapp_access{'_by_slug' if named else ''}{'_with_tenants' if tenants else ''}"
    return PreparedSelect(name, access_statement(*further, named=named), NAMED_TYPES if named else PARAMETER_TYPES)


def _access(row: Any, now: datetime, outdated: frozenset[str | None], *, named: bool = False) -> Access:
    granted = read_granted(row.granted)
    refusal = _refusal(row, named)
    early = refusal or _too_early(row, now, outdated)
    return Access(
        person=Person(row.user_id, row.login, row.user_name),
        tenant=None if early else TenantPlace(row.tenant_id, row.slug, row.tenant_name, row.server, row.database),
        selected=None if refusal else GrantedTenant(row.tenant_id, row.slug, row.tenant_name, granted.roles),
        refusal=early or TenantRequired(),
        roles=() if refusal else granted.roles,
        permissions=frozenset() if refusal else granted.permissions,
        operator=row.operator,
        web_session_id=row.web_session_id,
        expires_at=row.expires_at,
        tenants=read_tenants(row.tenants) if hasattr(row, "tenants") else None,
    )


def _refusal(row: Any, named: bool) -> TenancyError | None:
    """Return why the tenant's database may not be used, or None if it may."""
    if row.tenant_id is None:
        return TenantForbidden() if named else TenantRequired()
    if row.granted is None or row.state == TenantState.DELETED:
        return TenantForbidden()
    if row.state == TenantState.SUSPENDED:
        return TenantSuspended(row.state_reason)
    if row.state != TenantState.ACTIVE:
        failure = Failure(Cause.NOT_SERVED, f"its state is {row.state}")
        return TenantDatabaseUnavailable(row.slug, row.server, failure)
    return None


def _too_early(row: Any, now: datetime, outdated: frozenset[str | None]) -> TenantMigrating | None:
    """Return why the database cannot be used yet, or None if it can."""
    migrating = row.migrating_until is not None and row.migrating_until > now
    return TenantMigrating() if migrating or row.revision in outdated else None
