"""Queries over many tenants over HTTP, for operators."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any, Final

from orjson import Fragment
from pydantic import Field
from pyramid.config import Configurator

from tenantapp.answers import Page
from tenantapp.api.json import Body
from tenantapp.api.problems import ApiError
from tenantapp.api.query import PageQuery, encode_cursor
from tenantapp.console.answers import TenantRows
from tenantapp.console.declarations import fleet_change
from tenantapp.content import example
from tenantapp.fleet.querying.parallel import places
from tenantapp.fleet.querying.queries import Answer, json_rows, query_tenants
from tenantapp.fleet.querying.recording import record_query
from tenantapp.identity.audit import recording
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.request import TenantRequest

MOST_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class PageLimits:
    """The limits of one page. The page ends with the tenant that reaches one of them.

    ``jobs`` tenants are queried at once, each on a connection from the process's budget.
    """

    rows: int = 10_000
    size: int = 32 * 2**20  # bytes
    seconds: float = MOST_SECONDS
    jobs: int = 4


class Question(
    Body, json_schema_extra=example({"statement": "SELECT count(*) AS nodes FROM nodes", "tenants": ["acme"]})
):
    """The body of ``POST /fleet/query``. ``rows`` and ``timeout`` (in seconds) are limits for each tenant."""

    statement: str = Field(min_length=1, max_length=20_000)
    tenants: list[str] | None = Field(None, min_length=1, max_length=1000)
    rows: int = Field(100, ge=1, le=1000)
    timeout: float = Field(10.0, ge=0.1, le=MOST_SECONDS)


@fleet_change("fleet_query", "POST", body=Question, query=PageQuery, answer=Page[TenantRows], problems=("not_found",))
def query_fleet(request: TenantRequest) -> dict[str, Any]:
    """Run a query on a page of tenants, by slug. For a tenant that does not answer, ``failure`` has the reason.

    Each process runs one such query at a time, because its threads also serve other requests.
    """
    queries: Lock = request.registry.fleet_queries
    if not queries.acquire(blocking=False):
        raise ApiError(503, "busy", "Another query over the fleet is running. Try again in a moment.")
    try:
        return _answer_page(request)
    finally:
        queries.release()


def _answer_page(request: TenantRequest) -> dict[str, Any]:
    body: Question = request.checked_body
    query: PageQuery = request.checked_query
    found = sorted(places(request.registry.user_db, body.tenants or ()), key=lambda place: place.slug)
    after = query.after() or ""
    left = [place for place in found if place.slug > after]
    page = left[: query.limit]
    with recording(request.registry.user_db, request.actor) as session:
        record_query(session, page, body.statement, body.rows)
    items = _ask(request, body, page)
    more = len(items) < len(left)
    return {"items": items, "next": encode_cursor(items[-1]["tenant"]) if more else None}


def _ask(request: TenantRequest, body: Question, page: Sequence[TenantPlace]) -> list[dict[str, Any]]:
    """Return the answers of the first tenants: as many as the limits of a page allow, but at least one."""
    items: list[dict[str, Any]] = []
    limits: PageLimits = request.registry.fleet_query_limits
    rows, size, deadline = 0, 0, monotonic() + limits.seconds
    asked = query_tenants(
        request.registry.tenant_dbs,
        page,
        body.statement,
        jobs=limits.jobs,
        limit=body.rows,
        timeout=body.timeout,
        deadline=deadline,
    )
    with closing(asked):
        for answer in asked:
            if items and monotonic() >= deadline:
                # This tenant may have had less time than ``timeout``. The next page begins with it.
                break
            # Written at once, so that the driver's values can be freed.
            written = json_rows(answer.rows)
            items.append(_answer_object(answer, written))
            rows, size = rows + len(answer.rows), size + len(written)
            if rows >= limits.rows or size >= limits.size:
                break
    return items


def _answer_object(answer: Answer, rows: bytes) -> dict[str, Any]:
    return {
        "tenant": answer.place.slug,
        "columns": answer.columns,
        "rows": Fragment(rows),
        "truncated": answer.truncated,
        "failure": answer.failure,
    }


def includeme(config: Configurator) -> None:
    """Add the route, the limits of a page, and the lock that lets one query run at a time."""
    config.registry.fleet_queries = Lock()
    config.registry.fleet_query_limits = PageLimits()
    config.add_route("fleet_query", "/fleet/query")
