"""A compact filter of passwords that are known from breaches, made of the list of Have I Been Pwned.

The list has a line for each password, ``SHA1:COUNT``, in the order of the hashes. The filter keeps the first bits of
each hash: ``bits`` of them choose a bucket, and the 16 that follow are stored in it. There are as many buckets as leave
16 to 32 hashes in each. So a password takes 2.1 to 2.3 bytes, and 1 of 2000 to 4000 that are not in the list counts as
breached. None that is in the list is missed.

The file is a header, the number of hashes before the end of each bucket (32 bits each), and the 16 bits of each hash.
It is mapped into memory: a check reads two numbers and one bucket.
"""

import hashlib
import mmap
import os
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tenantapp.credentials.errors import InvalidBreachedList
from tenantapp.settings import Settings, SettingsError

MAGIC: Final = b"tenantapp breached passwords 1\n\0"
HEADER: Final = struct.Struct("<32sIQ")  # the magic, the bits that choose a bucket, the number of hashes
LINE_BYTES: Final = 43  # of a line on average: the size of a list tells about how many hashes it has
PER_BUCKET: Final = 16  # hashes at least, on average
MOST_BITS: Final = 28
STORED_BITS: Final = 16
HASH_DIGITS: Final = 40


class BreachedPasswords:
    """A filter in a file, as ``Breached``. If the file is replaced by a new one, the new one counts."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises ``InvalidBreachedList`` if it is missing or damaged."""
        self._path = path
        self._opened = _Mapped(path)

    def __contains__(self, password: str) -> bool:
        with suppress(OSError):
            if _version(self._path) != self._opened.version:
                self._opened = _Mapped(self._path)
        return hashlib.sha1(password.encode(), usedforsecurity=False).digest() in self._opened


class _Mapped:
    """One version of the file."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self.version = _version(path)
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise InvalidBreachedList(f"The list of breached passwords {path} cannot be read") from error
        magic, self._bits, count = HEADER.unpack_from(self._map) if len(self._map) >= HEADER.size else (b"", 0, 0)
        self._hashes = HEADER.size + (4 << self._bits)
        if magic != MAGIC or len(self._map) != self._hashes + 2 * count:
            raise InvalidBreachedList(f"{path} is no list made by `tenantapp passwords load`, or is damaged")

    def __contains__(self, digest: bytes) -> bool:
        bucket, stored = _split(int.from_bytes(digest[:8]), self._bits)
        end = self._end(bucket)
        begin = self._end(bucket - 1) if bucket else 0
        bucket_bytes = self._map[self._hashes + 2 * begin : self._hashes + 2 * end]
        return stored in struct.unpack(f"<{end - begin}H", bucket_bytes)

    def _end(self, bucket: int) -> int:
        end: int = struct.unpack_from("<I", self._map, HEADER.size + 4 * bucket)[0]
        return end


def breached_passwords(settings: Settings) -> BreachedPasswords | None:
    """Return the filter of the setting ``passwords.breached``, or None without it. Raises ``SettingsError``."""
    if settings.passwords_breached is None:
        return None
    try:
        return BreachedPasswords(Path(settings.passwords_breached))
    except InvalidBreachedList as error:
        raise SettingsError(f"passwords.breached: {error}. Run `tenantapp passwords load LIST` first") from error


def make_filter(lines: Iterable[bytes], size: int, path: Path) -> int:
    """Write the filter of a list to ``path``, and return how many passwords it has.

    ``size`` is that of the list, in bytes. What is there is replaced only once the new filter is complete. Raises
    ``InvalidBreachedList`` with the number of a wrong line, and ``OSError``.
    """
    bits = min(max(size // LINE_BYTES // PER_BUCKET, 1).bit_length() - 1, MOST_BITS)
    ends, beside = array("I", [0]) * (1 << bits), path.with_name(f"{path.name}.{os.getpid()}.part")
    count = 0
    try:
        with beside.open("xb") as file:
            file.seek(HEADER.size + (4 << bits))
            for bucket, stored in _buckets(lines, bits):
                count += len(stored)
                ends[bucket] = count
                file.write(_little(stored))
            if count == 0:
                raise InvalidBreachedList("The list of breached passwords is empty")
            _fill_gaps(ends)
            file.seek(0)
            file.write(HEADER.pack(MAGIC, bits, count))
            file.write(_little(ends))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return count


def _buckets(lines: Iterable[bytes], bits: int) -> "Iterator[tuple[int, array[int]]]":
    """Yield each bucket that is not empty, and what is stored in it."""
    current, stored = 0, array("H")
    for prefix in _prefixes(lines):
        bucket, kept = _split(prefix, bits)
        if bucket != current:
            if stored:
                yield current, stored
            current, stored = bucket, array("H")
        stored.append(kept)
    if stored:
        yield current, stored


def _prefixes(lines: Iterable[bytes]) -> Iterator[int]:
    """Yield the first 64 bits of each hash. Raises ``InvalidBreachedList``."""
    last = b""
    for number, line in enumerate(lines, 1):
        digits, colon, _ = line.partition(b":")
        digits = digits.strip().upper()
        try:
            if len(digits) != HASH_DIGITS or not colon:
                raise ValueError
            prefix = int(digits[:16], 16)
        except ValueError:
            raise InvalidBreachedList(f"Line {number} of the list is not like SHA1:COUNT, with 40 digits") from None
        if digits <= last:
            raise InvalidBreachedList(f"Line {number} of the list is not in order: take the list ordered by hash")
        last = digits
        yield prefix


def _split(prefix: int, bits: int) -> tuple[int, int]:
    """Return the bucket of a hash and what is stored of it, from its first 64 bits."""
    head = prefix >> (64 - bits - STORED_BITS)
    return head >> STORED_BITS, head & ((1 << STORED_BITS) - 1)


def _fill_gaps(ends: "array[int]") -> None:
    """Let an empty bucket end where the one before it does."""
    last = 0
    for bucket, end in enumerate(ends):
        if end == 0:
            ends[bucket] = last
        last = ends[bucket]


def _little(numbers: "array[int]") -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _version(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size
