"""Files that survive a power cut, and that are complete or absent."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tenantapp.operations.checkpoints import checkpoint

UNFINISHED: Final = ".new"


def sync(path: Path) -> None:
    """Write a file's content to the disk; for a directory, the names in it (fsync(2)). Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Yield the path of a new file beside this one, for this caller only. Unless renamed, it is removed at the end."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
    try:
        yield new
    finally:
        # Together with the files that SQLite makes beside it.
        for file in path.parent.glob(f"{new.name}*"):
            file.unlink(missing_ok=True)


def publish(new: Path, path: Path) -> None:
    """Give an unfinished file its final name, once it is on the disk, unless another attempt was quicker."""
    sync(new)
    # Unlike a rename, a link never replaces a file that another attempt has finished meanwhile.
    with suppress(FileExistsError):
        _link(new, path)
    sync(path.parent)


@checkpoint("file.publish")
def _link(new: Path, path: Path) -> None:
    os.link(new, path)


def remove_unfinished(path: Path) -> None:
    """Remove the unfinished files that killed attempts have left."""
    for file in path.parent.glob(f"{path.name}.*{UNFINISHED}*"):
        file.unlink(missing_ok=True)
