"""The errors of resources. A domain raises them too, and may derive its own from them.

ResourceError
+-- NotFound            this tenant has no such row
+-- NotOwner            somebody else owns the row, and the person may not change every row
+-- VersionMismatch     the client named another version of the row; `current` is the present row
+-- EditConflict        somebody else changed the row at the same moment
+-- AlreadyExists       another row has this value, and only one may have it; `field` names it
|   +-- IdTaken         another row has this id
+-- InUse               other rows refer to this row, so it cannot be deleted
+-- InvalidField        a value is well-formed, but cannot be stored; `field` names it
|   +-- InvalidReference    the row that a value refers to does not exist
+-- TooManyRows         a change by filter would change more rows than `most`
|   +-- TooManyImported     a file has more rows than one import may add
+-- TooLongImport       an import takes too long
+-- InvalidCsv          a file cannot be imported; `lines` says what is wrong where
+-- ExportBroken        an answer that had begun cannot be completed
"""

from collections.abc import Sequence
from typing import Any

import orjson


class ResourceError(Exception):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class NotFound(ResourceError):
    """The tenant has no such row."""

    def __init__(self, noun: str) -> None:
        super().__init__(f"There is no such {noun}.")


class NotOwner(ResourceError):
    """The person neither owns this row nor may change every row."""

    def __init__(self, noun: str) -> None:
        super().__init__(f"This {noun} belongs to somebody else, and you may not change it.")


class VersionMismatch(ResourceError):
    """The row has changed since the client read it, or it exists and the client said that it should not."""

    def __init__(self, noun: str, version: int, current: orjson.Fragment, shown: str | None = None) -> None:
        super().__init__(f"There is a {noun} at version {version} now, and the change was meant for another state.")
        self.version = version
        self.current = current
        self.shown = shown


class EditConflict(ResourceError):
    """Somebody else changed the row first. Nothing was overwritten."""

    def __init__(self, noun: str) -> None:
        super().__init__(f"Somebody else changed this {noun} at the same moment. Read it again.")


class AlreadyExists(ResourceError):
    """Another row has this value. ``field`` is None if no field of the body can mend it."""

    def __init__(self, noun: str, field: str | None) -> None:
        super().__init__(f"There is another {noun} with this {field}." if field else f"There is such a {noun} already.")
        self.field = field


class IdTaken(AlreadyExists):
    """Another row has the id that a new row was given."""


class InUse(ResourceError):
    """Other rows refer to the row. ``by`` is the name of their table."""

    def __init__(self, noun: str, by: str) -> None:
        super().__init__(f"This {noun} is in use: {by} refer to it.")
        self.by = by


class InvalidField(ResourceError):
    """A value is well-formed, but cannot be stored."""

    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field


class InvalidReference(InvalidField):
    """A field refers to a row that does not exist."""

    def __init__(self, field: str | None) -> None:
        super().__init__(field, "There is no such row to refer to.")


class TooManyRows(ResourceError):
    """The filter selects more rows than one request may change by filter. None was changed."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The filters select more than {most} rows, the most that one request may change.")
        self.most = most


class TooManyImported(TooManyRows):
    """A file has more rows than one import may add. None was added."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.args = (f"The file has more than {most} rows, the most that one import may add.",)


class TooLongImport(ResourceError):
    """An import takes longer than it may. No row was added."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The import has taken more than {seconds:g} seconds. Send fewer rows at once.")


class InvalidCsv(ResourceError):
    """A file cannot be imported. No row was added.

    ``wrong`` is how many lines are wrong. ``lines`` are the first faults, each with its ``line`` from 1, its ``column``
    or None, and a sentence as ``detail``.
    """

    def __init__(self, wrong: int, lines: Sequence[dict[str, Any]]) -> None:
        first = lines[0]
        where = f"line {first['line']}" + (f", column {first['column']}" if first["column"] else "")
        others = f" {wrong} lines are wrong." if wrong > 1 else ""
        super().__init__(f"In {where}: {first['detail']}{others}")
        self.wrong = wrong
        self.lines = list(lines)


class ExportBroken(ResourceError):
    """An answer that had begun cannot be completed. The server ends the connection."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The export of {name} broke off.")
