"""One question to many tenants over HTTP, for operators."""

from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any, Final

from pydantic import Field

from tenantapp.api.json import Body
from tenantapp.api.query import PageQuery, encode_cursor
from tenantapp.api.views import api_view
from tenantapp.fleet.parallel import places
from tenantapp.fleet.queries import Answer, json_row, query_tenants
from tenantapp.identity.audit import record, serve_request
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.access import TenantPlace

JOBS: Final = 4  # tenants asked at once, each on a connection of the process's budget
MOST_ROWS: Final = 10_000  # in one answer; then no further tenant is asked
MOST_SECONDS: Final = 20.0  # after which no further tenant is asked


class Question(Body):
    """``POST /fleet/query``. ``rows`` and ``timeout``, in seconds, are for each tenant."""

    statement: str = Field(min_length=1, max_length=20_000)
    tenants: list[str] | None = Field(None, min_length=1, max_length=1000)
    rows: int = Field(100, ge=1, le=1000)
    timeout: float = Field(10.0, ge=0.1, le=30.0)


@api_view("fleet_query", "POST", permission=Permission.FLEET_OPERATE, body=Question, query=PageQuery, writes="user")
def query_fleet(request: Any) -> dict[str, Any]:
    """Ask a page of tenants, by slug. Those that do not answer say why, and keep nothing from the others."""
    body: Question = request.checked_body
    query: PageQuery = request.checked_query
    found = sorted(places(request.registry.user_db, body.tenants or ()), key=lambda place: place.slug)
    after = query.after() or ""
    left = [place for place in found if place.slug > after]
    _record(request, body)
    answers = _ask(request, body, left[: query.limit])
    more = len(answers) < len(left)
    return {
        "items": [_answer_object(answer) for answer in answers],
        "next": encode_cursor(answers[-1].place.slug) if more else None,
    }


def _record(request: Any, body: Question) -> None:
    """In a transaction of its own, before anything is asked: nobody waits meanwhile, and no reading goes untold."""
    with request.registry.user_db.begin() as session:
        serve_request(session, request)
        record(session, "fleet.query", detail={"statement": body.statement, "tenants": body.tenants})


def _ask(request: Any, body: Question, page: Sequence[TenantPlace]) -> list[Answer]:
    answers: list[Answer] = []
    began = monotonic()

    def is_enough() -> bool:
        rows = sum(len(answer.rows) for answer in answers)
        return rows >= MOST_ROWS or monotonic() - began >= MOST_SECONDS

    asked = query_tenants(
        *(request.registry.tenant_dbs, _until(is_enough, page), body.statement),
        jobs=JOBS,
        limit=body.rows,
        timeout=body.timeout,
    )
    for answer in asked:
        answers.append(answer)
    return answers


def _until(is_enough: Callable[[], bool], page: Sequence[TenantPlace]) -> Iterator[TenantPlace]:
    for number, place in enumerate(page):
        if number and is_enough():
            return
        yield place


def _answer_object(answer: Answer) -> dict[str, Any]:
    return {
        "tenant": answer.place.slug,
        "columns": answer.columns,
        "rows": [json_row(row) for row in answer.rows],
        "truncated": answer.truncated,
        "failure": answer.failure,
    }


def includeme(config: Any) -> None:
    """The route."""
    config.add_route("fleet_query", "/fleet/query")
