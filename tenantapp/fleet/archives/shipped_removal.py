"""Remove what was shipped: what no moment needs any more, or all of a tenant that is forgotten."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import UUID

from tenantapp.fleet.archives.ship_directory import NOTED, directories, directory_of_people
from tenantapp.fleet.archives.shipped_owners import OWNER, owner_of
from tenantapp.fleet.archives.shipped_pages import BASE, PART, moment_of, shipped_files
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
        if is_gone and (not names or moment_of(names[-1]) < before):
            remove_all(directory)
        else:
            _remove(directory, names[: bases[-1] if bases else 0])


def shipped_of_tenant(root: Path, tenant_id: UUID) -> list[Path]:
    """Return the directories of all databases that a tenant has or had. Raises as ``owner_of``."""
    people = directory_of_people(root)
    return [each for each in directories(root) if each != people and owner_of(each) == tenant_id.hex]


def remove_all(directory: Path) -> None:
    """Remove all that was shipped of a database, and last the name of its owner. Raises ``OSError``."""
    for rest in (directory / NOTED, *directory.glob(f"*{PART}*")):
        rest.unlink(missing_ok=True)
    _remove(directory, shipped_files(directory))
    (directory / OWNER).unlink(missing_ok=True)
    with suppress(OSError):  # somebody has put another file there
        directory.rmdir()


def _remove(directory: Path, names: Sequence[str]) -> None:
    for name in names:
        _remove_shipped(directory / name)


@checkpoint("ship.remove")
def _remove_shipped(file: Path) -> None:
    file.unlink(missing_ok=True)
