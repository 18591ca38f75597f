"""Count the rows of a list, exactly or by the planner's estimate. Only clients that ask for a count pay for it."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.resources.declaration import Resource
from tenantapp.resources.queries import count_rows
from tenantapp.resources.shapes import conditions, shape_of

COUNTED: Final = 10_000  # rows; below it an estimate is a count


def count(
    resource: Resource[Any],
    session: Session,
    where: Mapping[str, Any],
    either: Mapping[str, Any],
    search: str | None,
    how: Literal["exact", "estimated"],
) -> dict[str, Any]:
    """Return ``{"rows": number, "exact": boolean}``.

    PostgreSQL estimates from its statistics, without reading the rows. SQLite has no such estimate and counts.
    """
    if how == "estimated" and session.get_bind().dialect.name == "postgresql":
        estimate = _estimate(resource, session, where, either, search)
        if estimate >= COUNTED:
            return {"rows": estimate, "exact": False}
    return {"rows": count_rows(resource, session, where, either=either, search=search), "exact": True}


def _estimate(
    resource: Resource[Any], session: Session, where: Mapping[str, Any], either: Mapping[str, Any], search: str | None
) -> int:
    shape, values = shape_of(resource, where, either, search)
    wanted = select(resource.mapper.primary_key[0]).where(*conditions(resource, shape)).params(values)
    compiled = wanted.compile(session.get_bind())
    # The constants of a list, such as those of IN, become one parameter each.
    given = compiled.construct_expanded_state()
    rows = session.connection().exec_driver_sql(
        f"EXPLAIN (FORMAT JSON) {given.statement}", _driver_values(compiled, given)
    )
    plan: Any = rows.scalar()
    return int((orjson.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"])


def _driver_values(compiled: Any, given: Any) -> dict[str, Any]:
    processors = {**compiled._bind_processors, **given.processors}
    return {name: processors[name](value) if name in processors else value for name, value in given.parameters.items()}
