"""The history of a row: its changes, as the feed of changes has them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from tenantapp.answers import Answer, Page
from tenantapp.api.query import PageQuery, bad_query
from tenantapp.resources import queries
from tenantapp.resources.change_views import ChangedBy, changed_by
from tenantapp.resources.cursors import NotACursor, decode_cursor, encode_cursor
from tenantapp.resources.declaration import Resource
from tenantapp.resources.keys import RowId
from tenantapp.resources.paths import path_key
from tenantapp.tenancy.changes import SeenChange, read_history
from tenantapp.tenancy.errors import ChangesGone
from tenantapp.tenancy.request import TenantRequest
from tenantapp.tenancy.row_ids import row_id_of


class HistoryQuery(PageQuery):
    """How many changes at most, and the place to begin."""


class RowChange(Answer):
    """A change of a row. ``version`` is that of the row after it; a deleted row had it last."""

    kind: Literal["created", "changed", "deleted"]
    version: int | None
    by: ChangedBy | None
    at: datetime


class RowChanges(Page[RowChange]):
    """The changes of a row, the newest first. ``kept_days`` is how long a change is kept at least."""

    kept_days: int


def history_view(resource: Resource[Any]) -> Callable[[TenantRequest], dict[str, Any]]:
    """Return the view of the changes of a row."""

    def row_changes(request: TenantRequest) -> dict[str, Any]:
        query: HistoryQuery = request.checked_query
        session, row_id = request.tenant_session, path_key(request, resource)
        before = None if query.cursor is None else _place(request, resource, row_id, query.cursor)
        found = read_history(session, resource.model.__tablename__, row_id_of(row_id), query.limit + 1, before)
        if not found and before is None:
            queries.read_row(resource, session, row_id)  # raises NotFound: never there, or deleted too long ago
        shown = found[: query.limit]
        following = _cursor(request, resource, row_id, shown[-1].position) if len(found) > query.limit else None
        kept = request.registry.app_settings.changes_keep
        return {"items": [_item(change) for change in shown], "next": following, "kept_days": kept}

    row_changes.__doc__ = f"Return the changes of a {resource.noun}, the newest first, also of a deleted one."
    return row_changes


def _item(change: SeenChange) -> dict[str, Any]:
    return {"kind": change.kind, "version": change.version, "by": changed_by(change), "at": change.at}


def _context(resource: Resource[Any], row_id: RowId) -> str:
    return f"changes of {resource.name} {row_id}"


def _cursor(request: TenantRequest, resource: Resource[Any], row_id: RowId, position: int) -> str:
    return encode_cursor(_context(resource, row_id), [request.access.require_tenant().epoch, position])


def _place(request: TenantRequest, resource: Resource[Any], row_id: RowId, cursor: str) -> int:
    try:
        epoch, position = decode_cursor(_context(resource, row_id), cursor)
        if type(position) is not int or not 0 <= position < 2**63:
            raise NotACursor
    except ValueError:
        raise bad_query("cursor", "This is not a cursor of this list.") from None
    if epoch != request.access.require_tenant().epoch:
        raise ChangesGone  # another database, or an older content of this one
    return position
