"""Export the rows of a list as CSV: all of them, in bounded memory, in many short reads.

No transaction and no connection is kept while a client reads. Each read continues after the last row, as a page of the
list does, and begins with the access as it is then: who has lost the permission, or whose tenant is being migrated or
has got other content, gets no more rows. An answer that breaks off ends in the middle of a quoted value, so that no
strict reader takes the part for the whole, and the server ends the connection without the end of the answer.
"""

import csv
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import orjson
from pyramid.interfaces import ISecurityPolicy
from pyramid.response import Response

from tenantapp.resources import queries
from tenantapp.resources.csv_cells import cell_of
from tenantapp.resources.declaration import Resource
from tenantapp.resources.errors import ExportBroken
from tenantapp.resources.list_queries import ListRequest, find_asked, read_asked
from tenantapp.sql.waits import TENANT_DATABASES
from tenantapp.tenancy.request import TenantRequest

log = logging.getLogger(__name__)
CSV: Final = "text/csv"
ANSWER: Final = {"answer": bytes, "media_type": CSV, "headers": ("Content-Disposition",)}
FIRST: Final = 20  # rows of the first read
MOST: Final = 200  # rows of a read
WANTED: Final = 512 * 1024  # characters of a read: by the size of one, the next is made longer or shorter
PIECE: Final = 64 * 1024  # characters that are sent at once, or a row
BOM: Final = b"\xef\xbb\xbf"
BROKEN: Final = b'"This file is not complete: the export broke off here.\r\n'
Rows = Sequence[queries.ShownRow]


def export_view(resource: Resource[Any]) -> Callable[[TenantRequest], Response]:
    """Return the view that exports the rows of a list."""

    def export_rows(request: TenantRequest) -> Response:
        asked = read_asked(resource, request.checked_query)
        # What goes wrong before the first row is answered as everywhere.
        rows = find_asked(resource, request.tenant_session, asked, FIRST)
        response = request.response
        response.content_type, response.charset = CSV, "utf-8"
        response.headers["Content-Disposition"] = f'attachment; filename="{resource.name}.csv"'
        response.app_iter = _Export(request, resource, asked, rows)
        return response

    export_rows.__doc__ = (
        f"Return all {resource.name} that the filters select, as CSV.\n\n"
        "The first line has the names of the members, by default all. `POST .../import` reads the file, if `_fields` "
        "names members that clients write."
    )
    return export_rows


class ContentReplaced(Exception):
    """The tenant has other content than when the export began."""

    def __init__(self) -> None:
        super().__init__("the content of the tenant was replaced")


class _Export:
    """Yields a CSV file. ``rows`` are those of the first read."""

    def __init__(self, request: TenantRequest, resource: Resource[Any], asked: ListRequest, rows: Rows) -> None:
        self._request, self._resource, self._asked, self._rows = request, resource, asked, rows
        wanted: str | None = request.checked_query.only_fields
        # In the order in which the client names them, each once.
        self._names = list(dict.fromkeys(wanted.split(",") if wanted else resource.members))
        self._epoch = request.access.require_tenant().epoch
        self.database_seconds = 0.0
        """How long the reads after the request have waited for the tenant's database. ``usage`` counts it."""
        self._begin = BOM if request.checked_query.byte_order_mark else b""

    def __iter__(self) -> Iterator[bytes]:
        yield self._begin + b"".join(_written([self._names]))
        rows, limit = self._rows, FIRST
        try:
            while rows:
                yield from _written(map(self._cells, rows))
                if len(rows) < limit:
                    return
                last, size = rows[-1], sum(len(row.text) for row in rows)
                limit = max(1, min(MOST, limit * WANTED // max(size, 1)))
                rows = self._read_on(queries.place_of(self._resource, self._asked.sort, last), limit)
        except Exception as error:
            log.warning("The export of request %s broke off: %s", self._request.request_id, error)
            yield BROKEN
            raise ExportBroken(self._resource.name) from error

    def _read_on(self, after: list[Any], limit: int) -> Rows:
        """Return the next rows. The request has ended, so this read is watched as one of its own."""
        registry = self._request.registry
        policy: Any = registry.getUtility(ISecurityPolicy)
        with registry.bulkhead.request() as waits:
            access = policy.permits_now(self._request, self._resource.read_permission)
            if access.require_tenant().epoch != self._epoch:
                raise ContentReplaced
            try:
                with registry.tenant_dbs.begin(access, read_only=True) as session:
                    return find_asked(self._resource, session, self._asked._replace(after=after), limit)
            finally:
                self.database_seconds += waits.spent[TENANT_DATABASES]

    def _cells(self, row: queries.ShownRow) -> list[str]:
        members = orjson.loads(row.text)
        return [cell_of(members[name]) for name in self._names]


def _written(lines: Iterable[Sequence[str]]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for line in lines:
        writer.writerow(line)
        if text.tell() >= PIECE:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()
