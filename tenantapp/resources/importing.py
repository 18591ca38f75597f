"""Add the rows of a CSV file to a resource: all, or none, with every wrong line named.

Each row is added as by ``create_row``, with all that belongs to it: owner, hooks, recorded change. Rows without hooks
are sent together. If a row is refused, each of those is tried by itself, so that one answer names all that is wrong.
The caller then has to roll back.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import IO, Any, Final, NamedTuple

from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from tenantapp.api.json import validate
from tenantapp.api.problems import ApiError
from tenantapp.characters import visible
from tenantapp.content import Content
from tenantapp.resources import writing
from tenantapp.resources.csv_cells import Read, read_cell, readers
from tenantapp.resources.csv_records import CsvFault, Record, read_records
from tenantapp.resources.declaration import Resource
from tenantapp.resources.errors import InvalidCsv, ResourceError, TooLongImport, TooManyImported
from tenantapp.tenancy.access import Access

LISTED: Final = 100  # wrong lines that are named
AT_ONCE: Final = 100  # rows between two savepoints, at most; they are in memory together
MOST_AT_ONCE: Final = 1024 * 1024  # characters after which they are no more
MOST_OF_A_NAME: Final = 100  # characters of a column's name in a sentence
IsRefusal = Callable[[Exception], bool]


class Limits(NamedTuple):
    """How many rows an import may have, and how many seconds it may take."""

    rows: int
    seconds: float


class _Line(NamedTuple):
    number: int
    content: Content


@dataclass
class _Faults:
    """What is wrong: the first ``LISTED`` faults, and how many lines are wrong in all."""

    wrong: int = 0
    listed: list[dict[str, Any]] = field(default_factory=list)

    def add(self, line: int, found: Sequence[tuple[str | None, str]]) -> None:
        """Add a wrong line with its faults, each a column or None, and a sentence."""
        self.wrong += 1
        room = LISTED - len(self.listed)
        self.listed += [{"line": line, "column": column, "detail": detail} for column, detail in found[:room]]


def import_rows(
    resource: Resource[Any],
    session: Session,
    access: Access,
    file: IO[bytes],
    limits: Limits,
    is_refusal: IsRefusal = lambda error: isinstance(error, ResourceError),
) -> int:
    """Add the rows of a CSV file whose first record names fields of the body. Return how many they are.

    ``is_refusal`` says which exceptions of hooks refuse a row. Raises ``InvalidCsv`` with the wrong lines,
    ``TooManyImported`` and ``TooLongImport``. Then the caller has to roll back.
    """
    faults, added = _Faults(), 0
    for lines in _checked(resource, file, limits, faults):
        try:
            with session.begin_nested():
                writing.create_rows(resource, session, access, [content for _, content in lines])
        except Exception as error:
            if not (isinstance(error, IntegrityError | DataError) or _refuses(error, is_refusal)):
                raise
            for line in lines:
                _add_alone(resource, session, access, line, is_refusal, faults)
        added += len(lines)
        # Nothing of a row is kept in memory once it is written, but that it changed.
        session.expunge_all()
    if faults.wrong:
        raise InvalidCsv(faults.wrong, sorted(faults.listed, key=itemgetter("line")))
    return added


def _add_alone(
    resource: Resource[Any], session: Session, access: Access, line: _Line, is_refusal: IsRefusal, faults: _Faults
) -> None:
    """Add a row by itself, so that it is known whether it is the one that is refused."""
    try:
        with session.begin_nested():
            writing.create_row(resource, session, access, line.content)
    except Exception as error:
        if not _refuses(error, is_refusal):
            raise
        column = getattr(error, "field", None)
        faults.add(line.number, [(column if isinstance(column, str) else None, str(error))])


def _refuses(error: Exception, is_refusal: IsRefusal) -> bool:
    return isinstance(error, ResourceError) or is_refusal(error)


def _checked(resource: Resource[Any], file: IO[bytes], limits: Limits, faults: _Faults) -> Iterator[list[_Line]]:
    """Yield the lines whose values are right, some at a time, and note what is wrong with the others."""
    end, rows = time.monotonic() + limits.seconds, 0
    records = read_records(file)
    try:
        columns = _columns(resource, next(records, None))
        while some := _some(records):
            rows += len(some)
            if rows > limits.rows:
                raise TooManyImported(limits.rows)
            yield list(_right(resource, columns, some, faults))
            if time.monotonic() > end:
                raise TooLongImport(limits.seconds)
    except CsvFault as fault:
        faults.add(fault.line, [(None, str(fault))])


def _some(records: Iterator[Record]) -> list[Record]:
    """Return the next records, none at the end."""
    some, size = list[Record](), 0
    for record in islice(records, AT_ONCE):
        some.append(record)
        size += sum(map(len, record.values)) + len(record.values)
        if size > MOST_AT_ONCE:
            break
    return some


def _columns(resource: Resource[Any], head: Record | None) -> dict[str, Read]:
    """Return how the cells of each column are read. Raises ``CsvFault`` if the first record does not name fields."""
    known = readers(resource.body)
    named = f"The first line names columns of {resource.name}: {', '.join(known)}"
    if head is None:
        raise CsvFault(1, f"The file is empty. {named}.")
    names = [name.strip() for name in head.values]
    for name in names:
        if name not in known:
            raise CsvFault(head.line, f"{named}, and not {visible(name[:MOST_OF_A_NAME]) or 'an empty one'}.")
        if names.count(name) > 1:
            raise CsvFault(head.line, f"The column {name} is there twice.")
    return {name: known[name] for name in names}


def _right(
    resource: Resource[Any], columns: Mapping[str, Read], records: Sequence[Record], faults: _Faults
) -> Iterator[_Line]:
    for record in records:
        found = _content(resource, columns, record)
        if isinstance(found, list):
            faults.add(record.line, found)
        else:
            yield _Line(record.line, found)


def _content(
    resource: Resource[Any], columns: Mapping[str, Read], record: Record
) -> Content | list[tuple[str | None, str]]:
    """Return the content of a record, or what is wrong with it."""
    if len(record.values) != len(columns):
        return [(None, f"The line has {len(record.values)} values for {len(columns)} columns.")]
    document, wrong = dict[str, Any](), list[tuple[str | None, str]]()
    for (name, read), cell in zip(columns.items(), record.values, strict=True):
        if "\0" in cell:
            wrong.append((name, "The NUL character is not allowed."))
        elif cell:
            try:
                document[name] = read_cell(cell, read)
            except ValueError as error:
                wrong.append((name, str(error)))
    if wrong:
        return wrong
    try:
        content: Content = validate(resource.body, document)
    except ApiError as error:
        return [(each["pointer"].split("/")[1] if each["pointer"] else None, each["detail"]) for each in error.errors]
    return content
