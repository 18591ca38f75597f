"""How much memory and disk a bundle may take. Somebody else may have made it, and a small file may hold a lot."""

import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenantapp.fleet.errors import BundleRefused
from tenantapp.settings import Settings

MIB: Final = 2**20
LONGEST_MANIFEST: Final = 16 * MIB  # bytes, enough for the names of some 80,000 files
# How many values a manifest may have: of tables and columns, and then one for so many bytes. That of a file takes more.
VALUES_ALWAYS_TAKEN: Final = 100_000
BYTES_OF_A_VALUE: Final = 32
ALWAYS_TAKEN: Final = 64 * MIB  # bytes of content, however well they are compressed
ENCRYPTED: Final = 0x1  # https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.4.4


@dataclass(frozen=True, slots=True)
class Limits:
    """``row`` is the most bytes of a row. ``expansion`` is how many times its size a bundle's content may have.

    An ``expansion`` of None is for a bundle that this process has just written.
    """

    row: int = 16 * MIB
    expansion: int | None = 200

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Return the limits for the bundles of others."""
        return cls(settings.bundles_max_row, settings.bundles_max_expansion)


USUAL: Final = Limits()


def named_twice(names: Iterable[str]) -> str | None:
    """Return a name that is there twice, or None."""
    return next((name for name, times in Counter(names).items() if times > 1), None)


def check_entries(file: Path, size: int, entries: Sequence[zipfile.ZipInfo], limits: Limits) -> None:
    """Check what an archive of ``size`` bytes says about its content. Raises ``BundleRefused``.

    The reader of an entry stops at the size that the archive says, so a lie makes a wrong checksum and takes nothing.
    """
    if (name := named_twice(entry.filename for entry in entries)) is not None:
        raise BundleRefused(file, f"the part {name} is in the archive twice")
    for entry in entries:
        # LZMA would let the archive say how much memory to take.
        if entry.flag_bits & ENCRYPTED or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleRefused(file, f"{entry.filename} is encrypted, or compressed in another way than by deflate")
    content = sum(entry.file_size for entry in entries)
    if limits.expansion is not None and content > max(ALWAYS_TAKEN, size * limits.expansion):
        raise BundleRefused(
            file,
            f"its content is {content // max(1, size)} times as large as the file; if you trust it, set "
            "bundles.max_expansion",
        )
