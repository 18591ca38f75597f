"""The same question to many tenants at once."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, Final
from uuid import UUID

from orjson import OPT_UTC_Z, dumps
from sqlalchemy.exc import DBAPIError

from tenantapp.fleet.errors import QueryFailed
from tenantapp.fleet.querying.first_rows import Most, Rows
from tenantapp.fleet.querying.parallel import in_parallel, local_access_to
from tenantapp.fleet.querying.read_only import ENDED, read_rows
from tenantapp.identity.effective import places_with
from tenantapp.identity.permissions import Permission
from tenantapp.operations.outcomes import cause
from tenantapp.sql.errors import DatabaseUnavailable, SqlError
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenancyError

TENANT: Final = "tenant"  # the first column
LEEWAY: Final = 2.0  # seconds after which a database that has not ended a statement itself does not answer
MOST_BYTES: Final = 8 * 2**20  # the limit of memory for the rows of one tenant


@dataclass(frozen=True, slots=True)
class Answer:
    """What one tenant's database answered. If it did not, ``failure`` says why, and there are no columns and no rows.

    Values are those of the driver. On SQLite, for instance, a time is the stored text. On PostgreSQL, text stands for
    spans of time, and for times that Python does not have. ``truncated``: there are more
    rows.
    """

    place: TenantPlace
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[Any, ...]] = ()
    truncated: bool = False
    failure: str | None = None


def query_tenants(
    databases: TenantDatabases,
    places: Iterable[TenantPlace],
    statement: str,
    *,
    jobs: int = 8,
    limit: int = 1000,
    timeout: float = 30.0,
    most_bytes: int = MOST_BYTES,
    deadline: float = inf,
) -> Generator[Answer, None, None]:
    """Ask the databases of these tenants the same question, ``jobs`` at once. Answers come in the order of ``places``.

    The statement is a SELECT, or another statement that gives rows and changes nothing: see ``read_only``. Each tenant
    may take ``timeout`` seconds and give ``limit`` rows, which may take ``most_bytes`` of memory. At most ``2 * jobs``
    answers are held at a time. All ends at the ``deadline`` on the monotonic clock. The connections are those of
    ``databases``: in the application they count in the budget of the process.
    """

    def ask(place: TenantPlace) -> Answer:
        seconds = min(timeout, deadline - monotonic())
        if seconds <= 0:
            return Answer(place, failure="it was not asked any more")
        try:
            found = _read(databases, place, statement, Most(limit, most_bytes, seconds))
        except QueryFailed as error:
            return Answer(place, failure=error.reason)
        except DatabaseUnavailable as error:
            return Answer(place, failure=ENDED.get(error.failure.cause) or cause(error))
        except (SqlError, TenancyError, DBAPIError) as error:
            return Answer(place, failure=cause(error))
        return Answer(place, found.columns, found.rows, found.truncated)

    return in_parallel(ask, places, jobs, patience=timeout + LEEWAY)


def query_for_person(
    user_db: DBFactory,
    databases: TenantDatabases,
    user_id: UUID,
    statement: str,
    *,
    permission: str = Permission.CONTENT_READ,
    jobs: int = 4,
    limit: int = 1000,
    timeout: float = 10.0,
) -> Iterator[Answer]:
    """Ask the active tenants in which a person may read, as ``query_tenants`` does. It is for reports across tenants.

    ``permission`` is the permission that reading needs. The program must write the statement itself, and not take it
    from a client.
    """
    with user_db.begin(read_only=True) as session:
        places = places_with(session, user_id, permission)
    return query_tenants(databases, places, statement, jobs=jobs, limit=limit, timeout=timeout)


def json_rows(rows: Sequence[Sequence[Any]]) -> bytes:
    """Return rows as a JSON array of arrays. Values that JSON cannot express become text."""
    try:
        return _json(rows)
    except TypeError:
        return _json([[_sendable(value) for value in row] for row in rows])


def json_object(row: Mapping[str, Any]) -> bytes:
    """Return a row as a JSON object. Values that JSON cannot express become text."""
    try:
        return _json(row)
    except TypeError:
        return _json({name: _sendable(value) for name, value in row.items()})


def text_of(value: Any) -> str | None:
    """Return the text of a value that CSV and JSON cannot express: bytes in hexadecimal, the rest as ``str``."""
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else None if value is None else str(value)


def _sendable(value: Any) -> Any:
    """Return the value, or its text if it holds something that no client could read.

    That is a whole number of more than 64 bits, or half of a surrogate pair, for instance in a value of the type json.
    """
    try:
        _json(value)
    except TypeError:
        return str(value).encode("utf-8", "backslashreplace").decode()
    return value


def _json(value: Any) -> bytes:
    return dumps(value, default=text_of, option=OPT_UTC_Z)


def _read(databases: TenantDatabases, place: TenantPlace, statement: str, most: Most) -> Rows:
    with databases.for_access(local_access_to(place)).get_session(read_only=True) as session:
        found = read_rows(session, statement, most)
    if TENANT in found.columns or len(set(found.columns)) < len(found.columns):
        raise QueryFailed(f"each column needs a name of its own, and none may be called {TENANT}")
    return found
