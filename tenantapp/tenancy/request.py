"""The application's request, with its access and its two sessions."""

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from random import getrandbits
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote
from uuid import UUID

import zope.sqlalchemy
from pyramid.request import Request
from pyramid.response import Response
from pyramid.url import parse_url_overrides
from sqlalchemy.orm import Session
from transaction import TransactionManager

from tenantapp.tenancy.access import ACTOR, BY_OPERATOR, NOBODY, SHOWN_LENGTH, Access, Actor, TenantPlace
from tenantapp.tenancy.cache import TenantCache
from tenantapp.tenancy.cache_stores import CacheStore, FrozenStore, Place
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import NoAccess
from tenantapp.tenancy.named_tenants import tenant_in, with_tenant
from tenantapp.tenancy.replica_reads import database_of

if TYPE_CHECKING:
    # The same for a type checker. Pyramid's reify has no types.
    from functools import cached_property as reify
else:
    from pyramid.decorator import reify

log = logging.getLogger(__name__)

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
DatabaseKind = Literal["user", "tenant"]


class TenantRequest(Request):
    """The application's ``request_factory``.

    A session opens at its first use. One finished callback closes both. Two databases cannot commit as one, so only the
    session that ``writes`` names may write, and none in a safe method. The writing session joins the request's
    transaction (``request.tm``). The database itself refuses writes in the other session.
    """

    # Attributes of Pyramid and pyramid_tm. Any stands for what has no type there.
    registry: Any
    response: Response
    tm: TransactionManager
    identity: Access | None
    matchdict: dict[str, str]
    environ: dict[str, Any]
    method: str
    scheme: str
    enqueue: Callable[..., UUID]
    """``enqueue("recount", {"product": "..."})`` leaves a job in the request's transaction; see ``work.queue``."""
    charge: Callable[[int], None]
    """``charge(3)`` counts three further requests for whoever is limited for this one; see ``limiting.counting``."""
    checked_body: Any
    """The body of an API view, as its model: a dictionary for ``MergePatch``, None if the view takes no body."""
    checked_query: Any
    """The query string of an API view, as its model."""

    writes: DatabaseKind | None = "tenant"
    """The database that the request may write to. None: it only reads, also with an unsafe method."""
    reads_tenants = False
    """Whether the access includes the tenants that the person may choose."""
    reads_server = False
    """Whether the request reads no replica, although it changes nothing: its answer has to be of the present."""
    reads_replica = False
    """Whether the tenant session is on a replica."""
    depends_on_caller = False
    """Whether somebody has asked who makes the request. The answer has to say so to caches (``Vary``)."""
    served_tenant: TenantPlace | None = None
    """The tenant in which the view's permission was asked for, or None: the request is no tenant's."""
    part_of: "TenantRequest | None" = None
    """The batch that this request is a part of, or None. They share the access, the tenant session and ``tm``."""
    part_index: int | None = None
    """The place of this part in its batch, from 0, or None."""
    running_part: "TenantRequest | None" = None
    """The part that a batch is running, or None. An error of the batch is that part's error."""
    # Before a request that may be retried, WebOb copies the body: in memory, if it has at most this many bytes.
    request_body_tempfile_limit = 2 * 1024 * 1024

    @reify
    def request_id(self) -> str:
        """Return the id of the request in logs and answers: ``X-Request-ID`` if it is well-formed, or a new id."""
        if self.part_of is not None:
            return self.part_of.request_id
        given = self.headers.get("X-Request-ID", "")
        # The id is not a secret, so a fast generator is enough: the operating system's would let other threads run.
        return given if REQUEST_ID.fullmatch(given) else f"{getrandbits(128):032x}"

    @reify
    def path_tenant(self) -> str | None:
        """Return the slug in a path such as ``/api/v1/t/{slug}/nodes``, as it is written, or None."""
        named = tenant_in(self.environ.get("PATH_INFO", ""))
        return named and named["slug"]

    @property
    def names_two_tenants(self) -> bool:
        """Return whether the path and ``X-Tenant`` name different tenants."""
        return self.path_tenant is not None and self.environ.get("HTTP_X_TENANT", self.path_tenant) != self.path_tenant

    @property
    def named_tenant(self) -> str | None:
        """Return what the request names as its tenant, which may be no slug, or None if it names none.

        A request that names two has a name that no tenant has.
        """
        return "" if self.names_two_tenants else self.environ.get("HTTP_X_TENANT", self.path_tenant)

    def route_url(self, route_name: str, *elements: Any, **kw: Any) -> str:
        """Return the URL of a route. If the path of this request names the tenant, so does the URL.

        Pyramid's ``route_path`` and ``current_route_url`` use this method.
        """
        before = len(parse_url_overrides(self, dict(kw))[0])
        url: str = super().route_url(route_name, *elements, **kw)
        return url if self.path_tenant is None else url[:before] + with_tenant(url[before:], quote(self.path_tenant))

    @reify
    def access(self) -> Access:
        """Return who makes the request, for which tenant, and what they may do. Raises ``NoAccess``."""
        access = self.identity
        if access is None:
            raise NoAccess
        return access

    @reify
    def actor(self) -> Actor:
        """Return who makes the changes of this request. Until the access is read, the actor is not signed in."""
        return self._actor(None)

    def identified(self, access: Access) -> None:
        """Make the person of this access the actor, also in an open session. It is called when the access is read."""
        self.actor = self._actor(access)
        if "user_session" in self.__dict__:
            self.user_session.info[ACTOR] = self.actor

    def _actor(self, access: Access | None) -> Actor:
        # X-Forwarded-For is not read here, because clients can forge it. The server evaluates it for trusted proxies.
        address = self.remote_addr or None
        if access is None:
            return Actor(NOBODY, request_id=self.request_id, address=address)
        person, impersonation = access.person, access.impersonation
        actor = Actor(person.login, person.id, self.request_id, address, access.api_token_id, person.name)
        if impersonation is None:
            return actor
        shown = f"{person.name[: SHOWN_LENGTH - len(BY_OPERATOR)]}{BY_OPERATOR}"
        return replace(actor, shown=shown, impersonator=impersonation.operator)

    @reify
    def user_session(self) -> Session:
        """Return the session on the user database."""
        session = self._open("user", self.registry.user_db)
        # Services read the actor from here and write it with their entries.
        session.info[ACTOR] = self.actor
        return session

    @reify
    def tenant_session(self) -> Session:
        """Return the session on the tenant's database. Raises ``NoAccess`` or a ``TenantRefused``.

        The parts of a batch share the session of the batch, which also closes it.
        """
        if self.part_of is not None:
            return self.part_of.tenant_session
        databases = self.registry.tenant_dbs
        factory = databases.for_access(self.access)
        if databases.replicas:
            server, factory = factory, database_of(self, factory, only_reads=self.method in SAFE_METHODS)
            self.reads_replica = factory is not server
        # The database refuses what an operator may not change, also in a view that is open to everybody.
        session = self._open("tenant", factory, only_reads=self.access.only_reads)
        session.info[ACTOR] = self.actor
        return session

    @reify
    def tenant_cache(self) -> TenantCache:
        """Return the cache of the tenant. Raises ``NoAccess`` or a ``TenantRefused``.

        What was read from a replica is not kept for others, who may have seen newer rows. The parts of a batch share
        the cache of the batch.
        """
        if self.part_of is not None:
            return self.part_of.tenant_cache
        tenant = self.access.require_tenant()
        manager = self.tm if has_transaction(self) else None
        store: CacheStore = self.registry.cache_store
        if self.reads_replica:
            store = FrozenStore(store)
        return TenantCache(store, Place(tenant.id, tenant.epoch), manager)

    def part(self, index: int, environ: dict[str, Any]) -> "TenantRequest":
        """Return a request of this environment that is a part of this one."""
        part: TenantRequest = type(self)(environ)
        part.part_of, part.part_index, part.tm = self, index, self.tm
        return part

    def _open(self, kind: DatabaseKind, factory: DBFactory, *, only_reads: bool = False) -> Session:
        read_only = only_reads or self.writes != kind or self.method in SAFE_METHODS
        session = factory.get_session(read_only=read_only)
        if not read_only:
            # "changed": zope.sqlalchemy does not notice Core and text statements, and would silently roll them back.
            zope.sqlalchemy.register(session, initial_state="changed", transaction_manager=self.tm)
        self._close_when_finished(session)
        return session

    def _close_when_finished(self, session: Session) -> None:
        sessions: list[Session] = self.__dict__.setdefault("_open_sessions", [])
        if not sessions:
            self.add_finished_callback(close_sessions)
        sessions.append(session)


def has_transaction(request: TenantRequest) -> bool:
    """Return whether ``request.tm`` has a transaction: only if the method may write. Otherwise joining it raises."""
    return request.method not in SAFE_METHODS


def retry_attempts(request: TenantRequest) -> int | None:
    """Return how often a request is tried in all if it conflicts with another. None means ``retry.attempts``.

    A request that only reads is tried once; if there are replicas, on one of them and then on the server. A change
    with a body of unknown length, or longer than ``api.max_body``, is tried once: for a retry the body is copied before
    a view can refuse it.
    """
    if request.method in SAFE_METHODS:
        return 2 if request.registry.tenant_dbs.replicas and not _has_body(request) else 1
    if request.content_length is None and request.is_body_readable:
        return 1
    return 1 if (request.content_length or 0) > request.registry.app_settings.api_max_body else None


def _has_body(request: TenantRequest) -> bool:
    return bool(request.content_length) or "HTTP_TRANSFER_ENCODING" in request.environ


def close_sessions(request: TenantRequest) -> None:
    """Close every session of the request, whatever happened in it.

    The end of the transaction has usually closed them. A session is still open if it was used afterwards, or if the
    transaction did not end. Each close is guarded: after a callback that fails, Pyramid skips the others and loses the
    response.
    """
    if request.finished_callbacks:
        # Run last, because another callback may use a session.
        request.add_finished_callback(close_sessions)
        return
    for session in request.__dict__.get("_open_sessions", ()):
        try:
            session.close()
        except Exception:
            log.exception("A session could not be closed.")
