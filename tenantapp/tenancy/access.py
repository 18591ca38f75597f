"""The answer to: who is asking, for which tenant, and what may they do?"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from tenantapp.tenancy.errors import TenancyError, TenantRequired

ACTOR: Final = "actor"  # in a session's ``info``: the ``Actor`` in whose name it writes
NOBODY: Final = "not signed in"  # an actor's name; a login has no spaces


@dataclass(frozen=True, slots=True)
class Person:
    """Who is asking."""

    id: UUID
    login: str
    name: str


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a login, or ``local:NAME`` for who works on this machine without having signed in.

    ``address`` is where the request came from, by the word of the server and of the proxies that it trusts.
    """

    name: str
    id: UUID | None = None
    request_id: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class TenantPlace:
    """A tenant, and where its database is: the name of a server in the settings and of a database there."""

    id: UUID
    slug: str
    name: str
    server: str
    database: str


@dataclass(frozen=True, slots=True)
class GrantedTenant:
    """A tenant that a person may choose, with the highest role they have in it."""

    id: UUID
    slug: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Access:
    """Frozen plain values, read from the user database for one request and kept no longer.

    ``tenant`` is set only if its database may be used right now; otherwise ``refusal`` says why not. ``selected`` is
    set also while that will pass by itself, as a migration does. ``tenants`` has those that the person may choose,
    where they were asked for.
    """

    person: Person
    tenant: TenantPlace | None = None
    selected: GrantedTenant | None = None
    refusal: TenancyError = field(default_factory=TenantRequired, compare=False)
    role: str | None = None
    permissions: frozenset[str] = frozenset()
    operator: bool = False
    web_session_id: UUID | None = None
    expires_at: datetime | None = None
    tenants: tuple[GrantedTenant, ...] | None = None

    def require_tenant(self) -> TenantPlace:
        """The tenant of this request. Raises ``refusal`` when there is none."""
        if self.tenant is None:
            raise self.refusal
        return self.tenant

    def may(self, permission: str) -> bool:
        """Whether the person has this permission in the selected tenant."""
        return permission in self.permissions
