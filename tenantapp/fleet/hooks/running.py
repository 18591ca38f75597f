"""Run the hooks of a tenant, each once, in the tenant's own database."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from tenantapp.fleet.errors import HookFailed
from tenantapp.fleet.hooks.declarations import DeclaredHook, HookEvent, hooks_of
from tenantapp.identity.local_access import LOCAL_PERSON, local_access
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import place_of
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.errors import OperationStopped
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context
from tenantapp.sql.upsert import insert_for
from tenantapp.tenancy.access import Access, TenantPlace
from tenantapp.tenancy.databases import TenantDatabases, one_database
from tenantapp.tenancy.errors import UserDatabaseUnavailable
from tenantapp.tenancy.known_tables import has_table
from tenantapp.tenancy.models import HookDone
from tenantapp.work.queue import NO_ARGUMENTS, NO_DELAY, Enqueue, enqueue

log = logging.getLogger(__name__)


class Original(NamedTuple):
    """The tenant whose data was copied. ``id`` is None if the data comes from a bundle."""

    id: UUID | None
    slug: str


@dataclass
class Hook:
    """What a handler gets: what has happened to which tenant, and a session on the tenant's database.

    What the handler does in ``session`` is committed together with a mark that the hook is done, or not at all. After a
    removal there is no database, and no ``session``. ``tenant`` is the tenant as it is now. ``original`` is the tenant
    that was copied, if the event is ``cloned``, and ``former_slug`` the slug before a rename.
    """

    event: HookEvent
    tenant: TenantPlace
    original: Original | None
    former_slug: str | None
    check: Callable[[], None]
    """Raises an ``OperationStopped`` if the operation was cancelled or the worker must end. Let it pass."""
    progress: Callable[[float, str], None]
    """``progress(0.5, "half of it")`` reports how much of this step is done. Raises what ``check`` raises."""
    _fleet: Fleet = field(repr=False)
    _session: Session | None = field(default=None, repr=False)

    @property
    def session(self) -> Session:
        """Return the session. Raises ``LookupError`` after a removal."""
        if self._session is None:
            raise LookupError("the tenant was removed, so its database does not exist any more")
        return self._session

    @cached_property
    def access(self) -> Access:
        """Return an access to the tenant with every permission, for services that ask for one."""
        with self._fleet.user_db.begin(read_only=True) as session:
            return local_access(session, self.tenant.slug)

    def enqueue(self, name: str, arguments: Mapping[str, Any] = NO_ARGUMENTS, *, after: timedelta = NO_DELAY) -> UUID:
        """Queue a job of the tenant in the transaction of ``session``, and return its id.

        Raises ``UnknownJob``, ``TypeError``, ``ValueError`` and ``TenantMigrating``, as ``request.enqueue`` does.
        """
        fleet = self._fleet
        return enqueue(self.session, self.tenant, fleet.declared.jobs, fleet.user_db, name, arguments, after=after)


def run_hooks(context: Context, event: HookEvent) -> None:
    """Run the hooks of a tenant that is being made, each once. Raises what ``run_in_database`` raises."""
    with context.fleet.user_db.begin(read_only=True) as session:
        place = place_of(session.get_one(Tenant, context.tenant_id))
    for declared in hooks_of(context.fleet).on(event):
        context.check()
        run_in_database(context, declared, place, occasion=place.id)


@checkpoint("hook.run")
def run_in_database(context: Context, declared: DeclaredHook, place: TenantPlace, *, occasion: UUID) -> None:
    """Call the handler and mark the hook as done, in one transaction. If it is marked already, do nothing.

    Raises ``HookFailed`` and what ``context.check`` raises.
    """
    given = context.arguments
    copied = given.get("source_slug")
    of = given.get("source") or given.get("backup_of")
    hook = Hook(
        event=declared.event,
        tenant=place,
        original=None if copied is None else Original(of and UUID(of), copied),
        former_slug=given.get("former_slug"),
        check=context.check,
        progress=context.progress,
        _fleet=context.fleet,
    )
    with (
        _explained(declared, place.slug),
        _database(context.fleet) as databases,
        databases.begin(Access(LOCAL_PERSON, place, operator=True)) as hook._session,
    ):
        if _mark(hook.session, declared, occasion):
            _call(declared, hook)


@contextmanager
def _database(fleet: Fleet) -> Iterator[TenantDatabases]:
    with one_database(fleet.servers, fleet.settings) as databases:
        databases.enqueue = Enqueue(fleet, lambda: fleet.declared.jobs)
        yield databases


def run_after_removal(context: Context, declared: DeclaredHook, place: TenantPlace) -> None:
    """Call the handler of a hook for a tenant that was removed. Raises ``HookFailed`` and what ``check`` raises."""
    hook = Hook(declared.event, place, None, None, context.check, context.progress, context.fleet)
    with _explained(declared, place.slug):
        _call(declared, hook)


@checkpoint("hook.call")
def _call(declared: DeclaredHook, hook: Hook) -> None:
    declared.handler(hook)


def _mark(session: Session, declared: DeclaredHook, occasion: UUID) -> bool:
    """Mark the hook as done. Return False if it was marked before.

    The mark is written first: a second worker, which took over while this one was only paused, waits for it.
    """
    if not has_table(session, HookDone.__tablename__):
        raise LookupError("the database is older than this version and has no table tenant_hooks; migrate it first")
    same = (HookDone.event == declared.event, HookDone.name == declared.name)
    # An adopted database may be the copy of a tenant's, in which the hook has done its work.
    if declared.event == HookEvent.CREATED and session.scalar(select(exists().where(*same))):
        return False
    mark = insert_for(session, HookDone).values(event=declared.event, name=declared.name, occasion=occasion)
    return session.scalar(mark.on_conflict_do_nothing().returning(HookDone.occasion)) is not None


@contextmanager
def _explained(declared: DeclaredHook, slug: str) -> Iterator[None]:
    try:
        yield
    except (OperationStopped, UserDatabaseUnavailable):
        raise
    except Exception as error:  # the handler is code of the builder
        log.error("The hook %s failed for the tenant %s.", declared.name, slug, exc_info=error)
        raise HookFailed(declared.name, declared.event, slug, error) from error
