"""What was shipped of a SQLite database: all its pages, and after that those that have changed, in a file each time.

A file is complete or absent, has a checksum, and names the one before it. Its first line is a header in JSON; then come
the pages, each with its number, compressed; the last 32 bytes are the SHA-256 of all before. The header also has a hash
of the whole database, so what is put together from several files is proved.
"""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from tenantapp.databases.servers.durable_files import sync
from tenantapp.fleet.errors import MomentRefused, ShippedDamaged
from tenantapp.operations.checkpoints import checkpoint

FORMAT: Final = "tenantapp pages 1"
BASE: Final = ".base"  # ends the name of a file that has all pages
PAGES: Final = ".pages"  # of one that has those that have changed since the file before it
PART: Final = ".part"
NAME: Final = "%Y%m%dT%H%M%S%fZ"
DIGEST: Final = 32  # bytes of a SHA-256
HASH: Final = 16  # bytes of the hash of a page
NUMBER: Final = 4  # bytes of the number of a page
LONGEST_HEADER: Final = 4096  # bytes
CHUNK: Final = 2**20
_NAMED: Final = re.compile(rf"\d{{8}}T\d{{12}}Z({re.escape(BASE)}|{re.escape(PAGES)})")


@dataclass(frozen=True, slots=True)
class Shipped:
    """The header of a file: what a database had ``at`` a moment.

    What it adds was committed after ``since``. ``after`` is the name of the file before it, and ``after_sha256`` its
    checksum. ``whole`` is the hash of the database, which has ``pages`` pages of ``page_size`` bytes.
    """

    at: datetime
    since: datetime
    after: str | None
    after_sha256: str | None
    page_size: int
    pages: int
    whole: str

    @property
    def name(self) -> str:
        return self.at.strftime(NAME) + (BASE if self.after is None else PAGES)

    def line(self) -> bytes:
        """Return the first line of the file."""
        values = asdict(self) | {"format": FORMAT, "at": self.at.isoformat(), "since": self.since.isoformat()}
        return json.dumps(values).encode() + b"\n"


def page_hash(page: bytes) -> bytes:
    """Return the hash of a page."""
    return hashlib.blake2b(page, digest_size=HASH).digest()


def whole_hash(hashes: Sequence[bytes]) -> str:
    """Return the hash of a database with pages of these hashes."""
    return hashlib.sha256(b"".join(hashes)).hexdigest()


def pages_of(file: Path) -> tuple[int, Iterator[bytes]]:
    """Return the size of the pages of a database, which nobody has open, and the pages. Raises ``OSError``."""
    with file.open("rb") as stream:
        # https://www.sqlite.org/fileformat2.html#page_size
        size = int.from_bytes(stream.read(18)[16:], "big")
    return (65536 if size == 1 else size), _pages(file, 65536 if size == 1 else size)


def _pages(file: Path, size: int) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while page := stream.read(size):
            yield page


@checkpoint("ship.write")
def write_shipped(directory: Path, header: Shipped, pages: Iterator[tuple[int, bytes]]) -> tuple[str, int]:
    """Write a file, and return its checksum and its size in bytes. Raises ``OSError``; then nothing is left of it."""
    file = directory / header.name
    part = file.with_name(file.name + PART)
    try:
        with part.open("wb") as stream:
            checksum = _write(stream, header, pages)
            size = stream.tell()
        sync(part)
        _publish(part, file)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    return checksum, size


@checkpoint("ship.publish")
def _publish(part: Path, file: Path) -> None:
    part.replace(file)
    sync(file.parent)


def _write(stream: BinaryIO, header: Shipped, pages: Iterator[tuple[int, bytes]]) -> str:
    digest, packer = hashlib.sha256(), zlib.compressobj(1)

    def write(content: bytes) -> None:
        digest.update(content)
        stream.write(content)

    write(header.line())
    for number, page in pages:
        write(packer.compress(number.to_bytes(NUMBER, "big") + page))
    write(packer.flush())
    stream.write(digest.digest())
    return digest.hexdigest()


def shipped_files(directory: Path) -> list[str]:
    """Return the names of the files of a database, the oldest first. Raises ``OSError``, but not if there are none."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(name for name in names if _NAMED.fullmatch(name))


def moment_of(name: str) -> datetime:
    """Return the moment of a file of this name."""
    return datetime.strptime(name.partition(".")[0], NAME).replace(tzinfo=UTC)


def read_header(directory: Path, name: str) -> Shipped:
    """Return the header of a file. Its checksum is not compared. Raises ``ShippedDamaged``."""
    with _readable(name), (directory / name).open("rb") as stream:
        return _header(stream.readline(LONGEST_HEADER))


@dataclass(frozen=True, slots=True)
class Content:
    """What a database had from one moment ``until`` another one, for certain. ``file`` has ``size`` bytes."""

    at: datetime
    until: datetime
    file: str
    size: int


def shipped_contents(directory: Path, seen_until: datetime | None) -> list[Content]:
    """Return what was shipped of a database, the oldest first.

    ``seen_until`` is when it was last looked at. Raises ``OSError``, and ``ShippedDamaged`` for an illegible header.
    """
    names = shipped_files(directory)
    headers = [read_header(directory, name) for name in names]
    ends = [*(header.since for header in headers[1:]), seen_until or headers[-1].at] if headers else []
    return [
        Content(header.at, max(header.at, end), name, (directory / name).stat().st_size)
        for name, header, end in zip(names, headers, ends, strict=True)
    ]


def content_at(contents: Sequence[Content], moment: datetime) -> Content:
    """Return the newest content up to a moment. Raises ``MomentRefused`` if there is none, or none yet."""
    earlier = [content for content in contents if content.at <= moment]
    if not earlier:
        begins = f"what was shipped begins at {contents[0].at.isoformat()}" if contents else "nothing was shipped"
        raise MomentRefused(f"{begins} of this database")
    if earlier[-1] is contents[-1] and moment > contents[-1].until:
        until = contents[-1].until.isoformat()
        raise MomentRefused(f"the database was shipped until {until} so far; wait for the next round, or give that")
    return earlier[-1]


def build(directory: Path, moment: datetime, target: Path) -> None:
    """Make the database as it was at the newest moment up to this one that was shipped.

    Raises ``MomentRefused`` if there is none, ``ShippedDamaged``, which names the last good moment, and ``OSError``.
    """
    names = [name for name in shipped_files(directory) if moment_of(name) <= moment]
    bases = [number for number, name in enumerate(names) if name.endswith(BASE)]
    if not bases:
        raise MomentRefused("nothing that is so old was shipped")
    good, last = None, None
    hashes: list[bytes] = []
    with target.open("w+b") as stream:
        for name in names[bases[-1] :]:
            try:
                header, checksum = _apply(directory, name, last, stream, hashes)
            except ShippedDamaged as error:
                last_good = good.at if good else _before(names[: bases[-1]])
                raise ShippedDamaged(name, error.reason, last_good) from error
            good, last = header, (name, checksum)
    sync(target)


def _before(names: Sequence[str]) -> datetime | None:
    return moment_of(names[-1]) if names else None


def _apply(
    directory: Path, name: str, last: tuple[str, str] | None, stream: BinaryIO, hashes: list[bytes]
) -> tuple[Shipped, str]:
    """Write the pages of a file, and compare the whole. Raises ``ShippedDamaged``."""
    checksum = _checked(directory / name)
    with _readable(name), (directory / name).open("rb") as shipped:
        header = _header(shipped.readline(LONGEST_HEADER))
        if (header.after, header.after_sha256) != (last or (None, None)):
            raise ShippedDamaged(name, f"the file before it, {header.after}, is missing or another one")
        hashes[header.pages :] = [b""] * max(0, header.pages - len(hashes))
        size = header.page_size
        for number, page in _unpacked(shipped, size):
            hashes[number - 1] = page_hash(page)
            stream.seek((number - 1) * size)
            stream.write(page)
        stream.truncate(header.pages * size)
    if whole_hash(hashes) != header.whole:
        raise ShippedDamaged(name, "the database that it leads to is another one")
    return header, checksum


def _unpacked(shipped: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    unpacker, buffer, record = zlib.decompressobj(), bytearray(), NUMBER + size
    # In pieces: pages of noughts become a thousand times as many bytes.
    while not unpacker.eof and (chunk := unpacker.unconsumed_tail or shipped.read(CHUNK)):
        buffer += unpacker.decompress(chunk, CHUNK)
        while len(buffer) >= record:
            yield int.from_bytes(buffer[:NUMBER], "big"), bytes(buffer[NUMBER:record])
            del buffer[:record]


def _checked(file: Path) -> str:
    """Return the checksum of a file. Raises ``ShippedDamaged`` if it is not the one at its end."""
    with _readable(file.name), file.open("rb") as stream:
        left = file.stat().st_size - DIGEST
        digest = hashlib.sha256()
        while left > 0:
            chunk = stream.read(min(CHUNK, left))
            digest.update(chunk)
            left -= len(chunk)
            if not chunk:
                break
        if stream.read() != digest.digest():
            raise ShippedDamaged(file.name, "its checksum is wrong")
        return digest.hexdigest()


def _header(line: bytes) -> Shipped:
    values: dict[str, Any] = json.loads(line)
    if values.pop("format") != FORMAT:
        raise ValueError("another format")
    times = {name: datetime.fromisoformat(values[name]) for name in ("at", "since")}
    return Shipped(**(values | times))


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ShippedDamaged(name, f"it cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, KeyError, IndexError, zlib.error) as error:
        raise ShippedDamaged(name, "it is not what was written") from error
