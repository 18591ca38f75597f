"""Remove what was shipped: what no moment needs any more, or all of a tenant that is forgotten."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import UUID

from tenantapp.fleet.archives.ship_directory import NOTED, directories
from tenantapp.fleet.archives.shipped_pages import BASE, PART, moment_of, read_header, shipped_files
from tenantapp.fleet.errors import ShippedDamaged
from tenantapp.operations.checkpoints import checkpoint


def remove_old(root: Path, before: datetime, present: Collection[Path]) -> None:
    """Remove what is needed for no moment after this one. ``present`` are the directories of databases that are there.

    If there is none of a server, its disk may not be mounted. Raises ``OSError``.
    """
    there = {each.parent for each in present}
    for directory in directories(root):
        names = shipped_files(directory)
        bases = [number for number, name in enumerate(names) if name.endswith(BASE) and moment_of(name) < before]
        is_gone = directory not in present and directory.parent in there
        if is_gone and names and moment_of(names[-1]) < before:
            remove_all(directory)
        else:
            _remove(directory, names[: bases[-1] if bases else 0])


def shipped_of_tenant(root: Path, tenant_id: UUID) -> list[Path]:
    """Return the directories of all databases that a tenant has or had: each says whose it is. Raises ``OSError``."""
    return [directory for directory in directories(root) if _tenant_of(directory) == tenant_id.hex]


def remove_all(directory: Path) -> None:
    """Remove all that was shipped of a database, the newest file last. Raises ``OSError``."""
    _remove(directory, shipped_files(directory))
    for rest in (directory / NOTED, *directory.glob(f"*{PART}*")):
        rest.unlink(missing_ok=True)
    with suppress(OSError):  # somebody has put another file there
        directory.rmdir()


def _remove(directory: Path, names: Sequence[str]) -> None:
    for name in names:
        _remove_shipped(directory / name)


@checkpoint("ship.remove")
def _remove_shipped(file: Path) -> None:
    file.unlink(missing_ok=True)


def _tenant_of(directory: Path) -> str | None:
    """Return whose database it is, by its newest file that can be read."""
    for name in reversed(shipped_files(directory)):
        with suppress(ShippedDamaged):
            return read_header(directory, name).tenant
    return None
