"""The first migration of a new package, as ``tenantapp revision`` writes it.

It is made of the models by the program itself. So it also has the tables that a tenant database has besides those of
the domain, whichever these are in this version.
"""

import importlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tenantapp.databases.histories.histories import bundled
from tenantapp.databases.schemas.autogenerate import make_revision
from tenantapp.operations.fleet import Fleet, opened_fleet
from tenantapp.settings import Settings, read_settings

HISTORY_FILES: Final = ("env.py", "script.py.mako")
MESSAGE: Final = "The first tables"


def write_first_revision(root: Path, package: str) -> Path:
    """Write the revision that makes the tables of a package's models. Raises what ``make_revision`` raises.

    The models are imported, so call this once in a process.
    """
    with package_fleet(root, package) as fleet:
        return make_revision(fleet, "tenant", MESSAGE)


@contextmanager
def package_fleet(root: Path, package: str) -> Iterator[Fleet]:
    """Yield a fleet under which the package in a directory is the domain. Nothing of it is made."""
    with importable(root), opened_fleet(settings_of(root, package)) as fleet:
        yield fleet


def copy_history(root: Path, package: str) -> None:
    """Begin an empty history, with the files of the bundled one."""
    versions = root / package / "migrations" / "versions"
    versions.mkdir(parents=True)
    for name in HISTORY_FILES:
        shutil.copyfile(bundled("tenant") / name, versions.parent / name)


def settings_of(root: Path, package: str) -> Settings:
    """Return settings of the package on SQLite, whatever the environment says. Nothing of them is made."""
    values = {
        "tenantapp.domain": package,
        "migrations.tenant": f"{package}:migrations",
        "user_db.url": f"sqlite+pysqlite:///{root}/var/user.sqlite",
        "servers.main": f"sqlite+pysqlite:///{root}/var/tenants/",
    }
    return read_settings(values, {})


@contextmanager
def importable(root: Path) -> Iterator[None]:
    """Let modules in a directory be imported during the block, without leaving compiled ones there."""
    writes_no_bytecode = sys.dont_write_bytecode
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(root))
        sys.dont_write_bytecode = writes_no_bytecode
