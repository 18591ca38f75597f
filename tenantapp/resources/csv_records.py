"""Read CSV (RFC 4180) in UTF-8 record by record, in bounded memory, whatever the file has."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final

LONGEST: Final = 1024 * 1024  # bytes of a record; each has at most as many values
BOM: Final = b"\xef\xbb\xbf"
OTHER_ENCODING: Final = (
    "The file is not in UTF-8. It may be in Latin-1 or Windows-1252: save it as CSV in UTF-8, and send it again."
)
CLOSED_LATE: Final = "A quotation mark is missing, or is not doubled within a value."


class CsvFault(Exception):
    """The file cannot be read on from this line. ``str(error)`` is a sentence."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Record:
    """The values of a record, and the number of its first line, from 1."""

    line: int
    values: Sequence[str]


class _Lines:
    """The lines of a file as text. ``number`` is that of the last one that was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.number, self._left = file, 0, LONGEST

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(self._left + 1):
            self.number += 1
            self._left -= len(line)
            if self._left < 0:
                raise CsvFault(self.number, f"A record may have at most {LONGEST} bytes. {CLOSED_LATE}")
            yield self._decoded(line.removeprefix(BOM) if self.number == 1 else line)

    def begin_record(self) -> None:
        """Let the next record have as many bytes as each."""
        self._left = LONGEST

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError:
            raise CsvFault(self.number, OTHER_ENCODING) from None


def read_records(file: IO[bytes]) -> Iterator[Record]:
    """Yield the records of a file, without those of an empty line. A byte order mark may come first.

    Raises ``CsvFault`` if the file is not in UTF-8, or is no CSV with commas, or a record is too long.
    """
    lines = _Lines(file)
    reader = csv.reader(lines, strict=True)
    while True:
        lines.begin_record()
        first = lines.number + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise CsvFault(first, _sentence(str(error))) from None
        if values is None:
            return
        if values:
            yield Record(first, values)


def _sentence(message: str) -> str:
    if "new-line" in message:
        return "Lines must end in LF or CR LF, not in CR alone."
    if "field limit" in message:
        return f"A value may have at most {csv.field_size_limit()} characters. {CLOSED_LATE}"
    return f"This is no CSV (RFC 4180). {CLOSED_LATE}"
