"""The feed of changes, by which a client keeps a copy of the resources that it may read."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import Field
from pyramid.config import Configurator

from tenantapp.answers import Answer
from tenantapp.api.query import DEFAULT_LIMIT, MAX_LIMIT, NoQuery, bad_query
from tenantapp.api.views import add_api_view
from tenantapp.identity.permissions import Permission
from tenantapp.resources.cursors import NotACursor, decode_cursor, encode_cursor
from tenantapp.resources.declaration import Resource
from tenantapp.tenancy.changes import SeenChange, present_position, read_changes
from tenantapp.tenancy.errors import ChangesGone
from tenantapp.tenancy.request import TenantRequest

CONTEXT: Final = "changes"
LAST_POSITION: Final = 2**62  # so that positions after it are still integers of the database


class ChangesQuery(NoQuery):
    """Where to begin, and how many changes at most. Without ``since``, the feed begins with the next change."""

    since: str | None = None
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)


class ChangedBy(Answer):
    """The person who made a change, under the name that they had then."""

    id: UUID
    name: str


class ChangeItem(Answer):
    """The newest change of a row. ``kind`` says whether the row is there or not; read it at its resource."""

    resource: str
    id: UUID | int
    kind: Literal["created", "changed", "deleted"]
    version: int | None
    by: ChangedBy | None
    at: datetime


class ChangesPage(Answer):
    """A part of the feed. ``cursor`` is the next ``since``; ``more`` says that there are changes after it now."""

    items: list[ChangeItem]
    cursor: str
    more: bool


def changes(request: TenantRequest) -> dict[str, Any]:
    """Return what has changed since a cursor, the oldest first, with what was deleted.

    Of several changes of one row only the newest is returned. Rows of resources that the person may not read are left
    out.
    """
    query: ChangesQuery = request.checked_query
    session = request.tenant_session
    if query.since is None:
        return _page(request, (), present_position(session), more=False)
    readable = readable_resources(request)
    found = read_changes(session, _position(request, query.since), query.limit, readable.keys())
    items = [_item(readable[change.table_name], change) for change in found.changes]
    return _page(request, items, found.position, more=found.more)


def readable_resources(request: TenantRequest) -> dict[str, Resource[Any]]:
    """Return the resources that the person may read, by the name of their table."""
    resources = request.registry.resources.values()
    may = request.access.may
    return {each.model.__tablename__: each for each in resources if may(each.read_permission)}


def _position(request: TenantRequest, cursor: str) -> int:
    try:
        epoch, position = decode_cursor(CONTEXT, cursor)
        if type(position) is not int or not 0 <= position <= LAST_POSITION:
            raise NotACursor
    except ValueError:
        raise bad_query("since", "This is not a cursor of the changes.") from None
    if epoch != request.access.require_tenant().epoch:
        raise ChangesGone  # another database, or an older content of this one
    return position


def _page(request: TenantRequest, items: Any, position: int, *, more: bool) -> dict[str, Any]:
    cursor = encode_cursor(CONTEXT, [request.access.require_tenant().epoch, position])
    return {"items": items, "cursor": cursor, "more": more}


def _item(resource: Resource[Any], change: SeenChange) -> dict[str, Any]:
    return {
        "resource": resource.name,
        "id": resource.key.of_change(change.row_id),
        "kind": change.kind,
        "version": change.version,
        "by": changed_by(change),
        "at": change.at,
    }


def changed_by(change: SeenChange) -> dict[str, Any] | None:
    """Return who made a change, as ``ChangedBy``, or None if nobody did."""
    return None if change.person_id is None else {"id": change.person_id, "name": change.person_name or ""}


def includeme(config: Configurator) -> None:
    """Add the route and its view."""
    config.add_route("changes", "/changes")
    add_api_view(
        config,
        changes,
        "changes",
        "GET",
        permission=Permission.TENANT_ENTER,
        query=ChangesQuery,
        answer=ChangesPage,
        problems=("changes_gone",),
        tag="changes",
        # A replica may not have a position yet that the client was told. It would be taken for one that is gone.
        reads_server=True,
    )
