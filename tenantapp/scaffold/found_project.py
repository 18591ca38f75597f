"""A package made of the tables of a database: models, resources, and a history that begins with what was found.

The first revision, ``as_found``, makes the structure of the database. The second adds the tables of tenantapp. So a
database of this structure can be adopted at the first one, and is then migrated like any tenant's.
"""

import importlib
import sys
import warnings
from pathlib import Path
from typing import Final

from tenantapp.databases.schemas.autogenerate import make_revision
from tenantapp.operations.fleet import Fleet
from tenantapp.scaffold.found import FoundDatabase
from tenantapp.scaffold.found_history import put_first
from tenantapp.scaffold.model_sources import ModelSources
from tenantapp.scaffold.resource_sources import resource_module, resource_sources

EMPTY: Final = '"""No models yet."""\n'
CORE_MESSAGE: Final = "The tables of tenantapp"
FOUND_MESSAGE: Final = "The tables as they were found"


def write_found(root: Path, package: str, found: FoundDatabase, fleet: Fleet) -> tuple[str, ...]:
    """Write the models, the resources and the history of a package, and return sentences for the builder.

    The modules of the package are imported, so call this once in a process.
    """
    source, models = root / package, f"{package}.models"
    sources = ModelSources(found)
    (source / "models.py").write_text(EMPTY, encoding="utf-8")
    (source / "resources.py").write_text(resource_module(package), encoding="utf-8")
    core = make_revision(fleet, "tenant", CORE_MESSAGE)
    taken = _words_of_routes(fleet)
    (source / "models.py").write_text(sources.module(), encoding="utf-8")
    module = importlib.reload(sys.modules[models])
    with warnings.catch_warnings():
        # An index on an expression is not for the engine that this runs on.
        warnings.filterwarnings("ignore", ".*expression-based index")
        tables = make_revision(fleet, "tenant", FOUND_MESSAGE)
    put_first(tables, core, package, found)
    resources = resource_sources(package, sources, module, taken)
    (source / "resources.py").write_text(resources.module, encoding="utf-8")
    return (*found.notes, *resources.notes)


def _words_of_routes(fleet: Fleet) -> set[str]:
    """Return what resources cannot be called: the names of routes, and the words that their paths consist of."""
    routes = fleet.declared.introspector.get_category("routes") or ()
    found = {route["introspectable"]["name"] for route in routes}
    for route in routes:
        found |= set(route["introspectable"]["pattern"].strip("/").split("/"))
    return found
