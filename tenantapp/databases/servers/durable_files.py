"""Files that are still there after a power cut, and that are there whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

UNFINISHED: Final = ".new"


def sync(path: Path) -> None:
    """Have a file's content on the disk; or, of a directory, the names in it (fsync(2)). Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A file beside this one that nobody else uses; it is gone at the end, unless it was renamed."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
    try:
        yield new
    finally:
        # With what SQLite makes beside it.
        for file in path.parent.glob(f"{new.name}*"):
            file.unlink(missing_ok=True)


def publish(new: Path, path: Path) -> None:
    """Give an unfinished file its name, once it is on the disk, unless another attempt was quicker."""
    sync(new)
    # Unlike a rename, a link never takes the place of a file that another has finished meanwhile.
    with suppress(FileExistsError):
        os.link(new, path)
    sync(path.parent)


def remove_unfinished(path: Path) -> None:
    """Remove what attempts that were killed have left of a file."""
    for file in path.parent.glob(f"{path.name}.*{UNFINISHED}*"):
        file.unlink(missing_ok=True)
