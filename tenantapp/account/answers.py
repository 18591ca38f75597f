"""Sessions, people, members and API tokens as the API shows them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from tenantapp.answers import Answer


class User(Answer):
    """A person."""

    id: UUID
    login: str
    name: str


class Account(User):
    """A person's own account. ``address`` is their confirmed mail address.

    ``password_set_at`` is null without a password, and for one that was set by an older version of the program.
    """

    address: str | None
    has_password: bool
    password_set_at: datetime | None


class Accepted(Answer):
    """The request is taken. Whether something is sent is only told by mail."""

    detail: str


class NamedPerson(Answer):
    """A person as others in the tenant see them."""

    id: UUID
    name: str


class NamedTenant(Answer):
    """A tenant as its people see it."""

    slug: str
    name: str


class ChoosableTenant(NamedTenant):
    """A tenant that the person has roles in, the highest rank first, and whether its calls are carried out now.

    A tenant that is being migrated or moved comes back by itself. A suspended one cannot be chosen.
    """

    roles: list[str]
    state: Literal["active", "suspended", "migrating"]


class Impersonation(Answer):
    """An operator, named by login, works as the person until ``expires_at`` at the latest."""

    operator: str
    reason: str
    read_only: bool
    expires_at: datetime


class Session(Answer):
    """Who is signed in, the tenant of the request, and what the person may do there.

    ``csrf_token`` goes into the header ``X-CSRF-Token`` of every change. ``factors`` are what the person has proved
    who they are by, and ``authenticated_at`` is when they last did. With ``second_factor_required``, the tenant refuses
    this session until it has a second factor. With ``impersonation``, it is an operator's, who works as ``user`` in
    ``tenant`` and nowhere else.
    """

    user: User
    tenant: NamedTenant | None
    roles: list[str]
    permissions: list[str]
    operator: bool
    tenants: list[ChoosableTenant]
    csrf_token: str
    expires_at: datetime
    factors: list[str]
    authenticated_at: datetime | None
    second_factor_required: bool
    impersonation: Impersonation | None


class PasskeyChallenge(Answer):
    """What an authenticator is asked to sign: the ``publicKey`` for ``navigator.credentials``, as JSON.

    ``token`` goes back with the answer, as ``challenge``.
    """

    token: str
    expires_at: datetime
    passkey_options: dict[str, Any]


class App(Answer):
    """An authenticator app."""

    created_at: datetime
    last_used_at: datetime | None


class NewApp(Answer):
    """What an authenticator app is set up with. ``qr_code`` is an SVG of ``uri``. It is shown this once."""

    secret: str
    uri: str
    qr_code: str


class Passkey(Answer):
    """A passkey, for the pages of a host. ``backed_up`` says whether its maker keeps it in an account."""

    id: UUID
    name: str
    host: str
    aaguid: UUID
    backed_up: bool
    created_at: datetime
    last_used_at: datetime | None


class Factors(Answer):
    """The second factors of a person. ``recovery_codes`` is how many are left, which may be few."""

    totp: App | None
    passkeys: list[Passkey]
    recovery_codes: int
    few_recovery_codes: bool


class RecoveryCodes(Answer):
    """New recovery codes. They are shown this once."""

    codes: list[str]


class TenantSettings(Answer):
    """What a tenant asks of those who work in it. With ``impersonation_forbidden``, no operator works as its people."""

    second_factor_required: bool
    impersonation_forbidden: bool


class RunningImpersonation(Impersonation):
    """An impersonation, as operators see it."""

    id: UUID
    user: User
    tenant: NamedTenant | None
    started_at: datetime


class EndedSessions(Answer):
    """How many sessions have ended."""

    ended: int


class Device(Answer):
    """A signed-in device. ``current`` marks the one that asks, ``impersonated`` that of an operator."""

    id: UUID
    current: bool
    tenant: NamedTenant | None
    user_agent: str | None
    impersonated: bool
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class Invitation(Answer):
    """An invitation into the tenant that waits for an answer: to an address of mail, or to a login.

    ``sent_at`` is when the last mail about it was written.
    """

    id: UUID
    address: str | None
    login: str | None
    role: str
    invited_by: str | None
    created_at: datetime
    expires_at: datetime
    sent_at: datetime | None


class ReceivedInvitation(Answer):
    """An invitation that the person may accept or decline."""

    id: UUID
    tenant: NamedTenant
    role: str
    invited_by: str | None
    expires_at: datetime


class LinkedInvitation(Answer):
    """What an invitation is about, for whoever has its link. ``address`` is where the link was sent.

    With ``login``, only this person may accept it.
    """

    tenant: str
    role: str
    invited_by: str | None
    address: str
    login: str | None
    expires_at: datetime


class Joined(Answer):
    """The tenant that an invitation has led into."""

    tenant: NamedTenant
    role: str


class NamedGroup(Answer):
    """A group of people."""

    id: UUID
    name: str


class MemberGrant(Answer):
    """A grant of a role. Its id names it in changes."""

    id: UUID
    role: str


class MemberUser(User):
    """A person, or with ``service_account`` a program."""

    service_account: bool


class Member(Answer):
    """A person or a group with roles in the tenant, the highest rank first.

    ``second_factor`` is whether the person has a second factor, or all people of the group have one. It is null for a
    service account.
    """

    user: MemberUser | None
    group: NamedGroup | None
    roles: list[str]
    grants: list[MemberGrant]
    second_factor: bool | None


class SecondFactors(Answer):
    """How many people have a role in the tenant, also by a group, and how many of them have no second factor."""

    people: int
    without_second_factor: int


class Role(Answer):
    """A role that a member may have, and what it permits in every tenant."""

    name: str
    permissions: list[str]


class Token(Answer):
    """An API token of a person or a service account. It permits those of ``permissions`` that its owner has."""

    id: UUID
    name: str
    user: User
    permissions: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class MadeToken(Token):
    """A new API token. Its text, ``token``, is shown this once."""

    token: str


class ServiceAccount(Answer):
    """A program's account in the tenant, and its roles, the highest rank first."""

    id: UUID
    login: str
    name: str
    roles: list[str]
    enabled: bool
    created_at: datetime


class SingleSignOn(Answer):
    """The identity provider of a tenant, for whoever has not signed in. ``start`` is the path that a browser visits."""

    tenant: str
    name: str
    start: str
    required: bool


class Elsewhere(Answer):
    """An address that the browser goes to next."""

    location: str


class RoleOfGroup(Answer):
    """Whom the provider says to be in this group gets this role."""

    group: str
    role: str


class IdentityProvider(Answer):
    """The identity provider of the tenant. ``callback`` is the address that is registered there.

    With one of ``factor_values`` in ``acr`` or ``amr``, the provider has seen a second factor. ``signed_in_by_it`` says
    whether the one who asks is signed in by this provider, and so may require it. With ``only_provisioned``, nobody
    comes in by it of whom the directory has not told.
    """

    id: UUID
    name: str
    issuer: str
    client_id: str
    has_secret: bool
    groups_claim: str
    default_role: str | None
    factor_values: list[str]
    roles: list[RoleOfGroup]
    required: bool
    only_provisioned: bool
    start: str
    callback: str
    signed_in_by_it: bool
