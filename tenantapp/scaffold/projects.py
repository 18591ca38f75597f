"""Write a new package, whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tenantapp.scaffold.errors import ScaffoldRefused
from tenantapp.scaffold.filling import fill
from tenantapp.scaffold.first_revision import copy_history, package_fleet, write_first_revision
from tenantapp.scaffold.names import check_name


def new_project(package: str, place: Path, database: str | None = None) -> tuple[str, ...]:
    """Write a package into a directory that is not there yet, or empty. Return sentences for the builder.

    It has one resource, or what the tables of a database give. Raises ``ScaffoldRefused``, ``OSError`` if the
    directory cannot be made, and what reading the database raises.
    """
    check_name(package)
    with _put_into(place) as root:
        names = {"package": package, "title": title_of(package)}
        if database is None:
            _write(root, "starter", names)
            write_first_revision(root, package)
            return ()
        # Imported here, as the usual way needs none of it.
        from tenantapp.scaffold.found import read_database
        from tenantapp.scaffold.found_project import write_found

        found = read_database(database)
        _write(root, "found", names)
        with package_fleet(root, package) as fleet:
            return write_found(root, package, found, fleet)


def title_of(package: str) -> str:
    """Return the name as a heading: ``Stock room`` for ``stock_room``."""
    return package.replace("_", " ").capitalize()


def _write(root: Path, kind: str, names: dict[str, str]) -> None:
    fill("common", root, names)
    fill(kind, root, names)
    copy_history(root, names["package"])


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
