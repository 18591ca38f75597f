"""How does a domain declare a table once, and get its list, its changes and its rules?

A domain imports ``Resource`` and what belongs to it from here, and adds it with ``config.add_resource``.
"""

import logging
from typing import TYPE_CHECKING, Any

from tenantapp.resources import errors
from tenantapp.resources.bodies import content_of
from tenantapp.resources.declaration import More, Owned, Resource, Value, Write
from tenantapp.resources.display import Display, Translation
from tenantapp.resources.filters import Flag, Match, Related
from tenantapp.resources.indexes import missing_on_both
from tenantapp.resources.queries import find_rows, read_row
from tenantapp.resources.writing import change_row, change_rows, create_row, delete_row, delete_rows, patch_row

if TYPE_CHECKING:
    # Scripts use resources too, and need no Pyramid.
    from pyramid.config import Configurator

log = logging.getLogger(__name__)

__all__ = [
    "Display",
    "Flag",
    "Match",
    "More",
    "Owned",
    "Related",
    "Resource",
    "Translation",
    "Value",
    "Write",
    "change_row",
    "change_rows",
    "content_of",
    "create_row",
    "delete_row",
    "delete_rows",
    "find_rows",
    "patch_row",
    "read_row",
]


def includeme(config: "Configurator") -> None:
    """Add the directive ``add_resource``, and map the errors of resources to status and code."""
    from pyramid.events import ApplicationCreated

    from tenantapp.api import PREFIX
    from tenantapp.api.conditions import mismatch_headers
    from tenantapp.resources.views import add_resource

    config.registry.resources = {}
    config.add_directive("add_resource", add_resource)
    config.add_subscriber(_name_missing_indexes, ApplicationCreated)
    config.registry.tags["changes"] = "What has changed in the tenant, for clients that keep a copy."
    config.include("tenantapp.resources.change_views", route_prefix=PREFIX)
    config.add_problem(errors.NotFound, 404, "not_found")
    config.add_problem(errors.NotOwner, 403, "not_owner")
    config.add_problem(errors.VersionMismatch, 412, "version_mismatch", members=("current",), headers=mismatch_headers)
    config.add_problem(errors.EditConflict, 409, "conflict")
    config.add_problem(errors.AlreadyExists, 409, "already_exists", pointer="field")
    config.add_problem(errors.InUse, 409, "in_use")
    config.add_problem(errors.InvalidField, 422, "invalid", pointer="field")
    config.add_problem(errors.InvalidReference, 422, "invalid_reference", pointer="field")
    config.add_problem(errors.TooManyRows, 413, "too_many_rows", members=("most",))
    config.add_problem(errors.TooLongImport, 413, "import_too_long")
    config.add_problem(errors.InvalidCsv, 422, "invalid_csv", members=("wrong", "lines"))


def _name_missing_indexes(event: Any) -> None:
    """Write to the log which filters and sorts have no index, as the application starts."""
    for sentence in missing_on_both(event.app.registry.resources.values()):
        log.warning("%s", sentence)
