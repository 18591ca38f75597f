"""The tests that a declared resource brings along: what it promises to clients, checked over HTTP.

    @pytest.mark.parametrize("check", resource_checks(books), ids=lambda check: check.__name__)
    def test_books_are_as_declared(check, cast):
        check(books, cast)

Each check makes the rows that it needs, and deletes them if clients can. So it also runs beside rows that are there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from secrets import randbelow
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from tenantapp.resources.declaration import Operation, Resource
from tenantapp.resources.filters import Match

PAGE: Final = 2  # rows; so that a few rows make several pages
MOST_PAGES: Final = 500
METHODS: Final[Mapping[str, Operation]] = {"PATCH": "change", "PUT": "change", "DELETE": "delete"}


class CheckFailed(AssertionError):
    """The application does not do what the resource declares. The text has the request and its answer."""


class Send(Protocol):
    """Sends a request as one person: ``bob("PATCH", "/books/1", {"stock": 3}, {"If-Match": tag})``.

    The path begins after ``/api/v1``. The answer is WebTest's, or has its ``status_int``, ``headers``, ``text`` and
    ``json``. An error status must not raise.
    """

    def __call__(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, /) -> Any:
        """Return the answer."""


@dataclass(frozen=True)
class Cast:
    """Who takes part in the checks, and what they write.

    ``body`` returns the body of a row, another one for each number: ``lambda number: {"sku": f"a-{number}"}``. No
    number comes twice; they have up to eight digits. ``change`` returns a merge patch that changes a row; without it,
    the body for another number is sent.
    """

    writer: Send
    """May read and write in a tenant, but not change rows of others."""
    colleague: Send
    """Another person with the same permissions in the same tenant."""
    reader: Send
    """May only read, in the same tenant."""
    elsewhere: Send
    """May read and write in another tenant, and not in this one."""
    nobody: Send
    """Is not signed in."""
    body: Callable[[int], dict[str, Any]]
    change: Callable[[int], dict[str, Any]] | None = None

    numbers: Iterator[int] = field(default_factory=lambda: count(randbelow(10**7)))

    def new(self) -> dict[str, Any]:
        """Return the body of a row, unlike those before."""
        return self.body(next(self.numbers))

    def patch(self) -> dict[str, Any]:
        """Return a merge patch that changes a row, unlike those before."""
        return (self.change or self.body)(next(self.numbers))


Check = Callable[[Resource[Any], Cast], None]


def resource_checks(resource: Resource[Any]) -> list[Check]:
    """Return the checks that the declaration gives rise to. Each takes the resource and a ``Cast``.

    Raises ``ValueError`` if clients cannot add rows: then there is nothing that the checks could look at.
    """
    if "create" not in resource.can:
        raise ValueError(f"Clients cannot add {resource.name}, so the checks have no rows")
    checks: list[Check] = [
        nobody_gets_in_without_signing_in,
        readers_change_nothing,
        another_tenant_does_not_see_rows,
        a_row_is_made_read_changed_and_deleted,
        what_clients_may_not_write_is_refused,
        pages_show_every_row_once_in_each_order,
        what_the_list_does_not_know_is_refused,
    ]
    if resource.owner is not None:
        checks.append(others_rows_are_not_changed)
    if "change" in resource.can:
        checks.append(a_patch_changes_only_what_it_names)
        if resource.version is not None:
            checks += [unchanged_rows_are_not_sent_again, lost_races_change_nothing]
    if any(isinstance(each, Match) for each in resource.filters.values()):
        checks.append(filters_find_rows_by_what_they_show)
    if resource.search:
        checks.append(searches_find_rows_by_their_words)
    return checks


def nobody_gets_in_without_signing_in(resource: Resource[Any], cast: Cast) -> None:
    """Check that every call is 401 ``not_signed_in`` for a person who is not signed in."""
    with _row(resource, cast) as row:
        for method, path, body in _calls(resource, row["id"], cast):
            _expect(cast.nobody, method, path, 401, "not_signed_in", body)
        _expect_unchanged(resource, cast, row)


def readers_change_nothing(resource: Resource[Any], cast: Cast) -> None:
    """Check that every call that writes is 403 ``permission_denied`` for a person who may only read."""
    with _row(resource, cast) as row:
        for method, path, body in _calls(resource, row["id"], cast):
            if method == "GET":
                _expect(cast.reader, method, path, 200)
            else:
                _expect(cast.reader, method, path, 403, "permission_denied", body)
        _expect_unchanged(resource, cast, row)


def another_tenant_does_not_see_rows(resource: Resource[Any], cast: Cast) -> None:
    """Check that a row of one tenant is 404 in another one, and not in its list."""
    with _row(resource, cast) as row:
        for method, path, body in _calls(resource, row["id"], cast):
            if path != f"/{resource.name}":
                _expect(cast.elsewhere, method, path, 404, "not_found", body)
        if row["id"] in [each["id"] for each in _all_rows(resource, cast.elsewhere, "")]:
            raise CheckFailed(f"The list of another tenant has the {resource.noun} {row['id']}")
        _expect_unchanged(resource, cast, row)


def a_row_is_made_read_changed_and_deleted(resource: Resource[Any], cast: Cast) -> None:
    """Check that a row has the declared members, is found where ``Location`` says, and is gone once it is deleted."""
    answer = _expect(cast.writer, "POST", f"/{resource.name}", 201, body=cast.new())
    row = answer.json
    path = _path(resource, row["id"])
    _equal(set(row), set(resource.members), f"the members of a {resource.noun}")
    _equal(answer.headers["Location"].endswith(f"/api/v1{path}"), True, f"whether Location ends with {path}")
    _expect_unchanged(resource, cast, row)
    if "change" in resource.can:
        changed = _expect(cast.writer, "PATCH", path, 200, body=cast.patch()).json
        _equal(changed == row, False, "whether a patch leaves all as it was; let `change` return another patch")
        _expect_unchanged(resource, cast, changed)
        replaced = _expect(cast.writer, "PUT", path, 200, body=cast.new()).json
        _equal(replaced["id"], row["id"], "the id after PUT")
    if "delete" in resource.can:
        _expect(cast.writer, "DELETE", path, 204)
        for method, body in (("GET", None), *_writes(resource, cast)):
            _expect(cast.writer, method, path, 404, "not_found", body)
    for method in METHODS.keys() - {name for name, _ in _writes(resource, cast)}:
        _expect(cast.writer, method, path, 405, "method_not_allowed", {} if method != "DELETE" else None)


def a_patch_changes_only_what_it_names(resource: Resource[Any], cast: Cast) -> None:
    """Check that an empty patch changes nothing, and that one with an unknown member is 422 and changes nothing."""
    with _row(resource, cast) as row:
        path = _path(resource, row["id"])
        _equal(_expect(cast.writer, "PATCH", path, 200, body={}).json, row, "the row after an empty patch")
        wrong = cast.patch() | {"no_such_member": 1}
        errors = _expect(cast.writer, "PATCH", path, 422, "invalid", wrong).json["errors"]
        _equal([each["pointer"] for each in errors], ["/no_such_member"], "the pointers of the errors")
        _expect_unchanged(resource, cast, row)


def what_clients_may_not_write_is_refused(resource: Resource[Any], cast: Cast) -> None:
    """Check that members that the body does not have, such as the id, are 422 in a body and in a patch."""
    with _row(resource, cast) as row:
        for member in [name for name in resource.members if name not in resource.fields]:
            given = {member: row[member]}
            bodies = {"PUT": cast.new() | given, "PATCH": given}
            calls = [("POST", f"/{resource.name}", cast.new() | given)]
            calls += [
                (each, _path(resource, row["id"]), bodies[each])
                for each, _ in _writes(resource, cast)
                if each in bodies
            ]
            for method, path, body in calls:
                errors = _expect(cast.writer, method, path, 422, "invalid", body).json["errors"]
                _equal([each["pointer"] for each in errors], [f"/{member}"], "the pointers of the errors")
        _expect_unchanged(resource, cast, row)


def others_rows_are_not_changed(resource: Resource[Any], cast: Cast) -> None:
    """Check that a change of another person's row is 403 ``not_owner``, and changes nothing."""
    with _row(resource, cast) as row:
        path = _path(resource, row["id"])
        for method, body in _writes(resource, cast):
            _expect(cast.colleague, method, path, 403, "not_owner", body)
        _expect_unchanged(resource, cast, row)


def unchanged_rows_are_not_sent_again(resource: Resource[Any], cast: Cast) -> None:
    """Check the ``ETag`` of a row: 304 for a client that has it, and 200 with another tag after a change."""
    with _row(resource, cast) as row:
        path = _path(resource, row["id"])
        tag = _expect(cast.reader, "GET", path, 200).headers["ETag"]
        _expect(cast.reader, "GET", path, 304, headers={"If-None-Match": tag})
        changed = _expect(cast.writer, "PATCH", path, 200, body=cast.patch())
        _equal(changed.headers["ETag"] == tag, False, "whether a changed row keeps its tag")
        again = _expect(cast.reader, "GET", path, 200, headers={"If-None-Match": tag})
        _equal(again.headers["ETag"], changed.headers["ETag"], "the tag after the change")


def lost_races_change_nothing(resource: Resource[Any], cast: Cast) -> None:
    """Check that a change of a version that is gone is 412 with the present row, and changes nothing."""
    with _row(resource, cast) as row:
        path = _path(resource, row["id"])
        tag = _expect(cast.writer, "GET", path, 200).headers["ETag"]
        present = _expect(cast.writer, "PATCH", path, 200, body=cast.patch(), headers={"If-Match": tag}).json
        for method, body in _writes(resource, cast):
            refused = _expect(cast.writer, method, path, 412, "version_mismatch", body, headers={"If-Match": tag})
            _equal(refused.json["current"], present, "the present row in the answer")
        _expect_unchanged(resource, cast, present)


def pages_show_every_row_once_in_each_order(resource: Resource[Any], cast: Cast) -> None:
    """Check that the pages show each row once in every order, up and down, and that ``Link`` names the next page."""
    with ExitStack() as until:
        ids = {until.enter_context(_row(resource, cast))["id"] for _ in range(3)}
        for sort in resource.sorts:
            up, down = (_ids(resource, cast.writer, f"_sort={sign}{sort}") for sign in ("", "-"))
            _equal(len(set(up)), len(up), f"the number of rows in the order of {sort}, without repeated ones")
            _equal(ids - set(up), set(), f"the rows that the order of {sort} leaves out")
            _equal(down, up[::-1], f"the rows in the order of -{sort}")


def filters_find_rows_by_what_they_show(resource: Resource[Any], cast: Cast) -> None:
    """Check that a filter by a column that rows show finds a row by its value, and ``not_`` finds the others."""
    with _row(resource, cast) as row:
        for name, each in resource.filters.items():
            value = row.get(name)
            if not isinstance(each, Match) or not isinstance(value, str | int | bool):
                continue
            text = str(value).lower() if isinstance(value, bool) else str(value)
            query = urlencode({name: text})
            _equal(row["id"] in _ids(resource, cast.writer, query), True, f"whether {query} finds the row")
            query = urlencode({f"not_{name}": text})
            _equal(row["id"] in _ids(resource, cast.writer, query), False, f"whether {query} finds the row")


def searches_find_rows_by_their_words(resource: Resource[Any], cast: Cast) -> None:
    """Check that ``q`` finds a row by the words of its texts, and not by a word that it does not have."""
    with _row(resource, cast) as row:
        for column in resource.model.__search__:
            if isinstance(row.get(column), str) and (words := row[column].split()[:2]):
                query = urlencode({"q": " ".join(words).upper()})
                _equal(row["id"] in _ids(resource, cast.writer, query), True, f"whether {query} finds the row")
        _equal(_ids(resource, cast.writer, "q=nosuchwordanywhere"), [], "the rows with a word that no row has")


def what_the_list_does_not_know_is_refused(resource: Resource[Any], cast: Cast) -> None:
    """Check that unknown filters, orders and fields are 400, and a cursor that is changed or of another order."""
    with _row(resource, cast), _row(resource, cast):
        cursor = _expect(cast.writer, "GET", f"/{resource.name}?limit=1", 200).json["next"]
        other = f"_sort=-{next(iter(resource.sorts))}&cursor={cursor}"
        for query in ("no_such_filter=1", "_sort=no_such_order", "_fields=no_such_field", "limit=0"):
            _expect(cast.writer, "GET", f"/{resource.name}?{query}", 400, "invalid_query")
        for query in (f"cursor={cursor}x", other):
            _expect(cast.writer, "GET", f"/{resource.name}?{query}", 400, "invalid_query")


def _calls(resource: Resource[Any], row_id: str, cast: Cast) -> Sequence[tuple[str, str, dict[str, Any] | None]]:
    many, one = f"/{resource.name}", _path(resource, row_id)
    writes = [(method, one, body) for method, body in _writes(resource, cast)]
    return [("GET", many, None), ("POST", many, cast.new()), ("GET", one, None), *writes]


def _writes(resource: Resource[Any], cast: Cast) -> list[tuple[str, dict[str, Any] | None]]:
    """Return the methods that change or delete one row, as far as clients can, and what is sent."""
    bodies = {"PATCH": cast.patch(), "PUT": cast.new()}
    return [(method, bodies.get(method)) for method, operation in METHODS.items() if operation in resource.can]


@contextmanager
def _row(resource: Resource[Any], cast: Cast) -> Iterator[dict[str, Any]]:
    """Make a row, and delete it at the end."""
    row: dict[str, Any] = _expect(cast.writer, "POST", f"/{resource.name}", 201, body=cast.new()).json
    try:
        yield row
    finally:
        cast.writer("DELETE", _path(resource, row["id"]))


def _path(resource: Resource[Any], row_id: str) -> str:
    return f"/{resource.name}/{row_id}"


def _all_rows(resource: Resource[Any], send: Send, query: str) -> list[dict[str, Any]]:
    """Return the rows of all pages."""
    path = f"/{resource.name}?{query}limit={PAGE}"
    rows: list[dict[str, Any]] = []
    following = ""
    for _ in range(MOST_PAGES):
        answer = _expect(send, "GET", path + following, 200)
        page = answer.json
        rows += page["items"]
        if page["next"] is None:
            return rows
        following = f"&cursor={page['next']}"
        _equal(f"cursor={page['next']}>" in answer.headers["Link"], True, "whether Link names the next page")
    raise CheckFailed(f"The list {path} has more than {MOST_PAGES} pages")


def _ids(resource: Resource[Any], send: Send, query: str) -> list[str]:
    return [row["id"] for row in _all_rows(resource, send, f"{query}&")]


def _expect_unchanged(resource: Resource[Any], cast: Cast, row: Mapping[str, Any]) -> None:
    present = _expect(cast.writer, "GET", _path(resource, row["id"]), 200).json
    _equal(present, row, f"the {resource.noun} as it is read")


def _expect(
    send: Send,
    method: str,
    path: str,
    status: int,
    code: str | None = None,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """Return the answer of a request. Raises ``CheckFailed`` if it has another status or code."""
    answer = send(method, path, body, headers)
    found = (answer.status_int, answer.json.get("code") if code is not None and answer.status_int >= 400 else None)
    if found != (status, code):
        wanted = " ".join(str(each) for each in (status, code) if each is not None)
        raise CheckFailed(f"{method} {path} is answered by {answer.status_int}, and not {wanted}: {answer.text[:500]}")
    return answer


def _equal(found: Any, expected: Any, what: str) -> None:
    if found != expected:
        raise CheckFailed(f"Expected {expected!r:.500}, and found {found!r:.500}: {what}")
