"""Write a new package, whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tenantapp.scaffold.errors import ScaffoldRefused
from tenantapp.scaffold.filling import fill
from tenantapp.scaffold.first_revision import copy_history, write_first_revision
from tenantapp.scaffold.names import check_name


def new_project(package: str, place: Path) -> None:
    """Write a package with one resource into a directory that is not there yet, or empty.

    Raises ``ScaffoldRefused``, and ``OSError`` if the directory cannot be made.
    """
    check_name(package)
    with _put_into(place) as root:
        names = {"package": package, "title": title_of(package)}
        fill("common", root, names)
        fill("starter", root, names)
        copy_history(root, package)
        write_first_revision(root, package)


def title_of(package: str) -> str:
    """Return the name as a heading: ``Stock room`` for ``stock_room``."""
    return package.replace("_", " ").capitalize()


@contextmanager
def _put_into(place: Path) -> Iterator[Path]:
    """Yield a directory beside the place, and move it there at the end of the block."""
    place = place.absolute()
    _check_place(place)
    with TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as directory:
        root = Path(directory) / place.name
        root.mkdir()
        yield root
        if place.exists():
            place.rmdir()
        os.rename(root, place)


def _check_place(place: Path) -> None:
    if not place.parent.is_dir():
        raise ScaffoldRefused(f"There is no directory {place.parent}")
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise ScaffoldRefused(f"{place} is there already, and is no directory")
    if place.is_dir() and any(place.iterdir()):
        raise ScaffoldRefused(f"The directory {place} is not empty")
