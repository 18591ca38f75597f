"""Check access by one statement on the user database for every request.

Only a request of an operator who works as somebody else takes a second one: whether they still are an operator.

On PostgreSQL the statement is prepared once per connection, because planning the join takes most of its time. It runs
in autocommit mode, outside the request's transaction, so it costs one round trip and holds no lock.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Update, false, or_, select, update
from sqlalchemy.exc import TimeoutError
from sqlalchemy.orm import Session

from tenantapp.identity.access_statements import (
    impersonation_statement,
    prepared_session_statement,
    prepared_token_statement,
)
from tenantapp.identity.effective import Granted, read_granted, read_tenants
from tenantapp.identity.epochs import epoch_of
from tenantapp.identity.models import ApiToken, Role, TenantState, WebSession
from tenantapp.identity.names import SLUG
from tenantapp.sql.errors import DatabaseUnavailable, SqlError
from tenantapp.sql.failures import Cause, Failure
from tenantapp.tenancy.access import (
    Access,
    GrantedTenant,
    Impersonation,
    Person,
    TenantPlace,
    has_second_factor,
    reachable,
)
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import (
    OwnSignInRequired,
    SecondFactorRequired,
    SingleSignOnRequired,
    TenancyError,
    TenantDatabaseUnavailable,
    TenantForbidden,
    TenantMigrating,
    TenantRefused,
    TenantRequired,
    TenantSuspended,
)

log = logging.getLogger(__name__)

# The time of the last use is written at most once a minute, so that most requests only read.
SEEN_INTERVAL: Final = timedelta(seconds=60)


class AccessReader:
    """Reads accesses from the user database. ``database`` must be in autocommit mode."""

    def __init__(self, database: DBFactory, idle_timeout: timedelta) -> None:
        self.database = database
        self.outdated: frozenset[str | None] = frozenset()
        """The revisions of tenant databases that are too old for this version of the program."""
        self._idle_timeout = idle_timeout
        self._write_from = datetime.min.replace(tzinfo=UTC)
        self._by_session = {
            (named, tenants): prepared_session_statement(named=named, tenants=tenants)
            for named in (False, True)
            for tenants in (False, True)
        }
        self._by_token = prepared_token_statement()
        self._impersonation = impersonation_statement()

    def read(
        self, token_hash: bytes, now: datetime, *, slug: str | None = None, tenants: bool = False
    ) -> Access | None:
        """Return the access of a web session, or None if the session has ended or expired.

        It is also None if who works as the person is no operator any more, or if the person has become one.

        ``slug`` names the tenant; without it, the session's choice counts. Text that is no slug names no tenant. With
        ``tenants``, the access has the tenants that the person has a role in. Raises ``UserDatabaseUnavailable``.
        """
        values: dict[str, Any] = {"token_hash": token_hash, "now": now, "idle_since": now - self._idle_timeout}
        if slug is not None:
            # The database is not asked for text that it might not accept.
            values["slug"] = slug if SLUG.fullmatch(slug) else ""
        rows = self.database.fetch(self._by_session[slug is not None, tenants], values)
        if not rows:
            return None
        row = rows[0]
        # Few sessions have an impersonator, so the others do not pay for reading more about one.
        impersonating = row.impersonator_id is not None
        found = (
            self.database.fetch(self._impersonation, {"web_session_id": row.web_session_id}) if impersonating else ()
        )
        access = self._session_access(row, now, found, named=slug is not None)
        if access is not None and self._is_due(row.last_seen_at, now):
            seen = update(WebSession).where(WebSession.token_hash == token_hash)
            seen = seen.where(WebSession.last_seen_at <= now - SEEN_INTERVAL).values(last_seen_at=now)
            self._write("a web session was last seen", seen, now)
        return access

    def read_token(self, token_hash: bytes, now: datetime, *, slug: str | None = None) -> Access | None:
        """Return the access of an API token, or None if it is unknown or has expired.

        If ``slug`` names another tenant than the token's, it is refused. Raises ``UserDatabaseUnavailable``.
        """
        rows = self.database.fetch(self._by_token, {"token_hash": token_hash, "now": now})
        if not rows:
            return None
        row = rows[0]
        if self._is_due(row.last_used_at, now):
            old = or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at <= now - SEEN_INTERVAL)
            used = update(ApiToken).where(ApiToken.id == row.api_token_id, old).values(last_used_at=now)
            self._write("an API token was last used", used, now)
        granted = read_granted(row.granted)
        allowed = Granted(granted.roles, granted.permissions & frozenset(row.permissions.split()))
        refusal = TenantForbidden() if slug not in (None, row.slug) else _refusal(row, named=True)
        # A program cannot have a second factor.
        exempt = row.service_tenant_id is not None
        return self._access(row, now, allowed, refusal, exempt=exempt, api_token_id=row.api_token_id)

    def check_reading(self) -> None:
        """Raise ``UserDatabaseUnavailable`` unless the user database answers."""
        with self.database.engine.connect() as connection:
            # Read to the end: an open result would keep its snapshot on the pooled connection.
            connection.execute(select(Role.name).limit(1)).all()

    def check_writing(self) -> None:
        """Raise ``UserDatabaseUnavailable`` unless the user database can be written to."""
        with self.database.engine.connect() as connection:
            # This changes no row, and both engines refuse it if the database is read-only.
            connection.execute(update(Role).where(false()).values(name=Role.name))

    def read_within(self, session: Session, token_hash: bytes, now: datetime) -> Access | None:
        """Return the access with its tenants, read in a transaction that has just written the web session."""
        values = {"token_hash": token_hash, "now": now, "idle_since": now - self._idle_timeout}
        session.flush()
        rows = self._by_session[False, True].rows(session, values)
        if not rows:
            return None
        row = rows[0]
        impersonating = row.impersonator_id is not None
        found = self._impersonation.rows(session, {"web_session_id": row.web_session_id}) if impersonating else ()
        return self._session_access(row, now, found, named=False)

    def _session_access(self, row: Any, now: datetime, found: Sequence[Any] | None, *, named: bool) -> Access | None:
        """Return the access of a row. ``found`` has the row of its impersonation, if there is one that may be."""
        if row.impersonator_id is not None and (row.operator or not found):
            return None
        return self._access(
            row,
            now,
            read_granted(row.granted),
            _refusal(row, named),
            # The administrators of a tenant decide what its provider says.
            operator=row.operator and row.identity_provider_id is None,
            web_session_id=row.web_session_id,
            tenants=self._tenants(row.tenants, row.identity_provider_id) if hasattr(row, "tenants") else None,
            authenticated_at=row.authenticated_at,
            owns_account=row.identity_provider_id in (None, row.provider_of_person),
            impersonation=Impersonation(*found[0]) if found else None,
        )

    def _access(
        self,
        row: Any,
        now: datetime,
        granted: Granted,
        refusal: TenancyError | None,
        *,
        exempt: bool = False,
        impersonation: Impersonation | None = None,
        **by_what: Any,
    ) -> Access:
        factors = _factors(row.factors)
        unproved = None if exempt else _unproved(row, factors, impersonation)
        early = refusal or unproved or _too_early(row, now, self.outdated)
        nothing = refusal or unproved
        hidden = refusal is not None or isinstance(unproved, OwnSignInRequired)
        return Access(
            person=Person(row.user_id, row.login, row.user_name),
            tenant=None if early else _place(row),
            selected=None if hidden else GrantedTenant(row.tenant_id, row.slug, row.tenant_name, granted.roles),
            refusal=early or TenantRequired(),
            roles=() if nothing else granted.roles,
            permissions=frozenset() if nothing else granted.permissions,
            expires_at=row.expires_at,
            factors=factors,
            identity_provider_id=row.identity_provider_id,
            impersonation=impersonation,
            storage_full=early is None and row.storage_full,
            **by_what,
        )

    def _tenants(self, text: str | None, identity_provider_id: UUID | None) -> tuple[GrantedTenant, ...]:
        """Return the tenants in a text. One whose database is too old for this program is to be migrated."""
        return tuple(
            replace(each, condition="migrating")
            if each.condition == "active" and each.revision in self.outdated
            else each
            for each in reachable(read_tenants(text), identity_provider_id)
        )

    def _is_due(self, last: datetime | None, now: datetime) -> bool:
        return (last is None or now - last >= SEEN_INTERVAL) and now >= self._write_from

    def _write(self, what: str, statement: Update, now: datetime) -> None:
        try:
            with self.database.engine.connect() as connection:
                connection.execute(statement)
        except (SqlError, TimeoutError) as error:
            # Somebody holds the lock, or the database is read-only at present. This request need not fail, and the next
            # ones need not wait: they do not try again for a minute.
            self._write_from = now + SEEN_INTERVAL
            reason = error.for_log() if isinstance(error, DatabaseUnavailable) else error
            log.warning("The time when %s could not be written: %s", what, reason)


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


def _unproved(row: Any, factors: frozenset[str], impersonation: Impersonation | None) -> TenantRefused | None:
    """Return what the tenant asks of its people that this one has not proved, or None.

    A provider counts in its own tenant and nowhere else: its administrators may let it say anything. No provider
    vouches for an operator who works as somebody else, which the tenant forbids by another setting.
    """
    if row.identity_provider_id is None:
        if row.single_sign_on_required and impersonation is None:
            return SingleSignOnRequired(row.slug)
    elif row.identity_provider_id != row.provider_of_tenant:
        return SingleSignOnRequired(row.slug) if row.single_sign_on_required else OwnSignInRequired()
    return SecondFactorRequired() if row.second_factor_required and not has_second_factor(factors) else None


@lru_cache(maxsize=64)
def _factors(text: str) -> frozenset[str]:
    """Return the factors in a text. There are few such texts."""
    return frozenset(text.split())


def _place(row: Any) -> TenantPlace:
    epoch = epoch_of(row.epoch, row.tenant_id)
    names = (row.tenant_id, row.slug, row.tenant_name)
    return TenantPlace(*names, row.server, row.database, epoch, row.connection_quota)


def _too_early(row: Any, now: datetime, outdated: frozenset[str | None]) -> TenantMigrating | None:
    """Return why the database cannot be used yet, or None if it can."""
    migrating = row.migrating_until is not None and row.migrating_until > now
    return TenantMigrating() if migrating or row.revision in outdated else None
