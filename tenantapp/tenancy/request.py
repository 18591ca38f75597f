"""The request: its access, and its two sessions."""

import logging
import re
from random import getrandbits
from typing import TYPE_CHECKING, Any, Final, Literal

import zope.sqlalchemy
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy.orm import Session
from transaction import TransactionManager

from tenantapp.tenancy.access import ACTOR, NOBODY, Access, Actor, Person
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import NoAccess

if TYPE_CHECKING:
    # For a type checker the same; Pyramid's has no types.
    from functools import cached_property as reify
else:
    from pyramid.decorator import reify

log = logging.getLogger(__name__)

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
DatabaseKind = Literal["user", "tenant"]


class TenantRequest(Request):
    """The application's ``request_factory``.

    Both sessions open when they are first asked for and are closed by one finished callback. Two sessions in one
    transaction are not atomic, so at most one of them may write: the one named by ``writes``, which takes part in the
    request's transaction (``request.tm``), and neither in a safe method. The database itself refuses writes in the
    other.
    """

    # Pyramid's and pyramid_tm's; what has no type there is Any.
    registry: Any
    response: Response
    tm: TransactionManager
    identity: Access | None
    matchdict: dict[str, str]
    environ: dict[str, Any]
    method: str
    scheme: str
    checked_body: Any
    """The body of an API view: what its model makes of it, a document for ``MergePatch``, None without a body."""
    checked_query: Any
    """The query string of an API view, as its model."""

    writes: DatabaseKind = "tenant"
    reads_tenants = False
    """Whether the access is read together with the tenants that the person may choose."""
    # WebOb copies a body before the first of several tries; up to this many bytes it does so in memory.
    request_body_tempfile_limit = 2 * 1024 * 1024

    @reify
    def request_id(self) -> str:
        """Names the request in logs and answers: the proxy's ``X-Request-ID`` if it is a plain word, or a new one."""
        given = self.headers.get("X-Request-ID", "")
        # No secret, so the quick generator does; the operating system's is a call that lets other threads go first.
        return given if REQUEST_ID.fullmatch(given) else f"{getrandbits(128):032x}"

    @reify
    def access(self) -> Access:
        """Who is asking, for which tenant, what may they do. Raises ``NoAccess`` when nobody is signed in."""
        access = self.identity
        if access is None:
            raise NoAccess
        return access

    @reify
    def actor(self) -> Actor:
        """Who does what this request does: nobody, before somebody has asked who is signed in."""
        return self._actor(None)

    def identified(self, person: Person) -> None:
        """Take this person for the actor, in the session that is open too. Called when the access is read."""
        self.actor = self._actor(person)
        if "user_session" in self.__dict__:
            self.user_session.info[ACTOR] = self.actor

    def _actor(self, person: Person | None) -> Actor:
        # Not what the client says of itself in X-Forwarded-For: the server has read what a trusted proxy says.
        address = self.remote_addr or None
        if person is None:
            return Actor(NOBODY, request_id=self.request_id, address=address)
        return Actor(person.login, person.id, self.request_id, address)

    @reify
    def user_session(self) -> Session:
        """The session on the user database."""
        session = self._open("user", self.registry.user_db)
        # What is written there says in whose name.
        session.info[ACTOR] = self.actor
        return session

    @reify
    def tenant_session(self) -> Session:
        """The session on the selected tenant's database. Raises ``NoAccess`` or a ``TenantRefused`` without one."""
        return self._open("tenant", self.registry.tenant_dbs.for_access(self.access))

    def _open(self, kind: DatabaseKind, factory: DBFactory) -> Session:
        read_only = self.writes != kind or self.method in SAFE_METHODS
        session = factory.get_session(read_only=read_only)
        if not read_only:
            # "changed": the session commits even if it only sent text or Core statements, which zope.sqlalchemy
            # does not see; else they would be rolled back without a word.
            zope.sqlalchemy.register(session, initial_state="changed", transaction_manager=self.tm)
        self._close_when_finished(session)
        return session

    def _close_when_finished(self, session: Session) -> None:
        sessions: list[Session] = self.__dict__.setdefault("_open_sessions", [])
        if not sessions:
            self.add_finished_callback(close_sessions)
        sessions.append(session)


def has_transaction(request: TenantRequest) -> bool:
    """Whether ``request.tm`` has a transaction: for methods that may write. In a safe one, to join it raises."""
    return request.method not in SAFE_METHODS


def retry_attempts(request: TenantRequest) -> int | None:
    """How often a request is tried that collides with another one: once if it only reads, or its body is long.

    For more than one try the body is copied first, before any view could refuse it; so one of unknown length is long.
    None stands for the setting ``retry.attempts``.
    """
    if request.method in SAFE_METHODS or (request.content_length is None and request.is_body_readable):
        return 1
    return 1 if (request.content_length or 0) > request.registry.app_settings.api_max_body else None


def close_sessions(request: TenantRequest) -> None:
    """Close every session of the request, whatever happened in it.

    The end of the transaction has closed them already, unless one was used after it, or the transaction never came to
    its end. Each close is guarded: Pyramid would skip the callbacks after a failing one, and lose the response.
    """
    if request.finished_callbacks:
        # Go last: one of the other callbacks may use a session.
        request.add_finished_callback(close_sessions)
        return
    for session in request.__dict__.get("_open_sessions", ()):
        try:
            session.close()
        except Exception:
            log.exception("A session could not be closed.")
