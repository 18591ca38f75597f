"""The file of a bundle: a ZIP archive that ends in its own checksum.

The archive's comment, the last bytes of the file, is ``sha256:`` and the SHA-256 of everything before it. So a
file that was cut short or altered is refused before any of its content is used.
"""

import hashlib
import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast
from urllib.parse import quote
from uuid import UUID, uuid4

import orjson
from pydantic import ValidationError

from tenantapp.databases.servers.durable_files import sync
from tenantapp.fleet.bundles.limits import (
    BYTES_OF_A_VALUE,
    LONGEST_MANIFEST,
    MIB,
    VALUES_ALWAYS_TAKEN,
    Limits,
    check_entries,
    named_twice,
)
from tenantapp.fleet.bundles.manifest import FORMAT, VERSION, BundledFile, BundledTable, Manifest
from tenantapp.fleet.errors import BundleNotWritten, BundleRefused, NotPortable
from tenantapp.private_files import open_regular

SEAL: Final = b"sha256:"
SEAL_LENGTH: Final = len(SEAL) + 64
MANIFEST: Final = "manifest.json"
NEWER: Final = (
    "files",
    "sequences",
    "materialized_views",
    "extensions",
)  # members that the first version does not know
CHUNK: Final = 2**20
LOOKED_AT: Final = 2**16  # bytes; a longer row is looked at before it is parsed
# A string that is not closed ends with the text: to look for its end from each quote in it would take for ever.
STRINGS: Final = re.compile(rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)')
UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,  # a version of the format that is newer than the library
    KeyError,
    orjson.JSONDecodeError,
    EOFError,
)
STAMP: Final = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # a fixed time, so that the same content makes the same file except for the manifest


class BundleWriter:
    """Writes the tables in turn, then the manifest."""

    def __init__(self, archive: zipfile.ZipFile, limits: Limits) -> None:
        self._archive = archive
        self._limits = limits

    def write_rows(self, table: str, rows: Iterable[list[Any]]) -> tuple[str, int, str]:
        """Write a table's rows, and return the name of its file, the number of rows and the file's SHA-256.

        Raises ``NotPortable`` for a row that is longer than ``import`` would take.
        """
        file = f"tables/{quote(table, safe='')}.jsonl"
        digest, count = hashlib.sha256(), 0
        with self._open(file) as stream:
            for row in rows:
                line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
                if len(line) > self._limits.row:
                    raise NotPortable(f"the table {table}", _too_long(len(line)))
                digest.update(line)
                stream.write(line)
                count += 1
        return file, count, digest.hexdigest()

    def write_file(self, file_id: UUID, content: Iterable[bytes]) -> BundledFile:
        """Write the content of a file, as it is: most are compressed already."""
        name, digest, size = f"files/{file_id.hex}", hashlib.sha256(), 0
        with self._open(name, zipfile.ZIP_STORED) as stream:
            for piece in content:
                digest.update(piece)
                size += len(piece)
                stream.write(piece)
        return BundledFile(id=file_id, file=name, size=size, sha256=digest.hexdigest())

    def write_manifest(self, manifest: Manifest) -> None:
        # Earlier programs refuse members that they do not know.
        newer = {name for name in NEWER if not getattr(manifest, name)}
        written = manifest.model_dump_json(indent=2, exclude=newer, exclude_none=True).encode()
        if len(written) > LONGEST_MANIFEST:
            raise NotPortable(manifest.tenant.slug, f"{len(manifest.files)} files are too many for a bundle")
        with self._open(MANIFEST) as stream:
            stream.write(written)

    def _open(self, name: str, compression: int = zipfile.ZIP_DEFLATED) -> IO[bytes]:
        entry = zipfile.ZipInfo(name, STAMP)
        entry.compress_type = compression
        return self._archive.open(entry, "w", force_zip64=True)


@contextmanager
def new_bundle(file: Path, limits: Limits) -> Iterator[BundleWriter]:
    """Write a bundle. The file appears after the block, complete and on the disk.

    Until then it is called ``.NAME.….part``, in the same directory. An exception removes that file; if the process is
    killed, delete it by hand. Raises ``BundleNotWritten``, also if ``file`` exists already.
    """
    if file.exists():
        raise BundleNotWritten(file, "the file exists already")
    part = file.with_name(f".{file.name}.{uuid4().hex}.part")
    try:
        with part.open("xb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.comment = SEAL + b"0" * 64
            yield BundleWriter(archive, limits)
        _seal(part)
        part.rename(file)
        sync(file.parent)
    except OSError as error:
        raise BundleNotWritten(file, error.strerror or str(error)) from error
    finally:
        part.unlink(missing_ok=True)


class Bundle:
    """A bundle whose seal is right."""

    def __init__(self, file: Path, archive: zipfile.ZipFile, manifest: Manifest, limits: Limits) -> None:
        self.manifest = manifest
        self._limits = limits
        self._file = file
        self._archive = archive
        self._files = {each.id: each for each in manifest.files}

    def rows(self, table: BundledTable) -> Iterator[list[Any]]:
        """Yield the rows of a table. Raises ``BundleRefused``, at the latest after the last row."""
        for line in self.lines(table):
            # As objects, many small values would take forty times the memory of a long row.
            row = orjson.loads(line) if len(line) < LOOKED_AT or _values_in(line) == len(table.columns) else None
            if not isinstance(row, list) or len(row) != len(table.columns):
                raise BundleRefused(self._file, f"a row of {table.name} does not have the table's columns")
            yield row

    def lines(self, table: BundledTable) -> Iterator[bytes]:
        """Yield the rows of a table as bytes, unparsed. Raises ``BundleRefused``, at the latest after the last row."""
        digest, count = hashlib.sha256(), 0
        # ZipExtFile's own readline takes time that grows with the square of a line's length.
        with self._archive.open(table.file) as stream, io.BufferedReader(cast("Any", stream), CHUNK) as buffered:
            while line := buffered.readline(self._limits.row + 1):
                if len(line) > self._limits.row:
                    raise BundleRefused(self._file, f"in the table {table.name}, {_too_long(len(line))}")
                digest.update(line)
                count += 1
                if count > table.rows:
                    break
                yield line
        if (count, digest.hexdigest()) != (table.rows, table.sha256):
            raise BundleRefused(self._file, f"the rows of {table.name} do not match the manifest")

    def content(self, file_id: UUID) -> Iterator[bytes]:
        """Yield the content of a file. Raises ``FileNotFoundError``, and at the end ``BundleRefused``."""
        found = self._files.get(file_id)
        if found is None:
            raise FileNotFoundError(file_id)
        digest = hashlib.sha256()
        with self._archive.open(found.file) as stream:
            while piece := stream.read(CHUNK):
                digest.update(piece)
                yield piece
        if digest.hexdigest() != found.sha256:
            raise BundleRefused(self._file, f"the content of the file {file_id} does not match the manifest")


@contextmanager
def open_bundle(file: Path, limits: Limits) -> Iterator[Bundle]:
    """Check the seal, the size and the manifest of a bundle, and open it. Raises ``BundleRefused`` and ``OSError``."""
    opened = open_regular(file)
    if opened is None:
        raise BundleRefused(file, "it is not a regular file")
    with opened as stream:
        _check_seal(file, stream)
        try:
            with zipfile.ZipFile(stream) as archive:
                check_entries(file, stream.seek(0, os.SEEK_END), archive.infolist(), limits)
                yield Bundle(file, archive, _manifest(file, archive), limits)
        except UNREADABLE as error:
            raise BundleRefused(file, "it cannot be read") from error


def _seal(part: Path) -> None:
    with part.open("r+b") as stream:
        digest = _digest(stream)
        stream.seek(-64, os.SEEK_END)
        stream.write(digest.encode())
    sync(part)


def _check_seal(file: Path, stream: IO[bytes]) -> None:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - SEAL_LENGTH))
    seal = stream.read()
    if size < SEAL_LENGTH or not seal.startswith(SEAL):
        raise BundleRefused(file, "it is not a bundle, or its end is missing")
    if seal.removeprefix(SEAL) != _digest(stream).encode():
        raise BundleRefused(file, "it was altered after it was written")


def _digest(stream: IO[bytes]) -> str:
    """Return the SHA-256 of the file without its seal."""
    left = stream.seek(0, os.SEEK_END) - SEAL_LENGTH
    stream.seek(0)
    digest = hashlib.sha256()
    while left > 0:
        chunk = stream.read(min(CHUNK, left))
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest()


def _manifest(file: Path, archive: zipfile.ZipFile) -> Manifest:
    with archive.open(MANIFEST) as stream:
        content = stream.read(LONGEST_MANIFEST + 1)
    if len(content) > LONGEST_MANIFEST:
        raise BundleRefused(file, f"its manifest is longer than {LONGEST_MANIFEST // MIB} MiB")
    if _is_crowded(content):
        raise BundleRefused(file, "its manifest has more values than a manifest needs")
    raw = orjson.loads(content)
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise BundleRefused(file, "it is not a bundle of tenantapp")
    version = raw.get("version")
    if isinstance(version, int) and version > VERSION:
        raise BundleRefused(file, f"its format has version {version}, and this program reads versions up to {VERSION}")
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        raise BundleRefused(file, "its manifest is wrong") from error
    _check_names(file, manifest)
    return manifest


def _is_crowded(content: bytes) -> bool:
    """Return whether a manifest has so many small values that they would take thirty times its size as objects."""
    bare = STRINGS.sub(b"", content)
    values = sum(bare.count(sign) for sign in (b",", b"[", b"{"))
    return values > VALUES_ALWAYS_TAKEN + len(content) // BYTES_OF_A_VALUE


def _check_names(file: Path, manifest: Manifest) -> None:
    """Raise ``BundleRefused`` if the manifest names something twice: only one of the two would count."""
    # Of a part that is named twice, a small archive would take as much disk as its manifest is long.
    named = {"part": [table.file for table in manifest.tables] + [each.file for each in manifest.files]}
    named |= {"table": [table.name for table in manifest.tables], "file": [str(each.id) for each in manifest.files]}
    named["sequence"] = [each.name for each in manifest.sequences]
    named["column"] = [f"{column.name} of {table.name}" for table in manifest.tables for column in table.columns]
    for what, names in named.items():
        if (name := named_twice(names)) is not None:
            raise BundleRefused(file, f"its manifest names the {what} {name} twice")


def _values_in(line: bytes) -> int | None:
    """Return how many values a row has, without parsing it, or None if one of them is an array or an object."""
    bare = STRINGS.sub(b"", line)
    return None if bare.count(b"[") > 1 or b"{" in bare else bare.count(b",") + 1


def _too_long(size: int) -> str:
    return f"a row has {size} bytes or more, which is more than the setting bundles.max_row"
