"""Read the built page: its files, each also compressed, as the build has made them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

INDEX: Final = "index.html"
ASSETS: Final = "assets"
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
# The best first. The build leaves out what would not be smaller.
ENCODINGS: Final = {"br": ".br", "gzip": ".gz"}
PLAIN: Final = "identity"


@dataclass(frozen=True)
class File:
    """A file of the page. ``contents`` has its bytes by their content encoding, the best first and the plain last."""

    media_type: str
    contents: Mapping[str, bytes]


@dataclass(frozen=True)
class Page:
    """The built page: the document that starts it, and its assets by name. A name has a hash of the content."""

    index: File
    assets: Mapping[str, File]


def read_page(directory: Path) -> Page | None:
    """Return the page built into a directory, or None if there is none.

    The files are kept in memory: they are few, and small when compressed.
    """
    if not (directory / INDEX).is_file():
        return None
    names = [path for path in sorted((directory / ASSETS).glob("*")) if path.suffix in MEDIA_TYPES]
    return Page(_read(directory / INDEX), {path.name: _read(path) for path in names})


def _read(path: Path) -> File:
    contents = {}
    for encoding, suffix in ENCODINGS.items():
        compressed = path.with_name(path.name + suffix)
        if compressed.is_file():
            contents[encoding] = compressed.read_bytes()
    return File(MEDIA_TYPES[path.suffix], contents | {PLAIN: path.read_bytes()})
