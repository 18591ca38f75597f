"""Which notes does a team keep, and who may change them?

The bundled domain: replace it with your own through the setting ``tenantapp.domain``.
"""

from pyramid.config import Configurator

from tenantapp.api import PREFIX
from tenantapp.api.conditions import mismatch_headers
from tenantapp.workspace import errors


def includeme(config: Configurator) -> None:
    """Add the views under ``/api/v1``, and map this package's errors to status and code."""
    config.add_problem(errors.NotFound, 404, "not_found")
    config.add_problem(errors.NotOwner, 403, "not_owner")
    config.add_problem(errors.VersionMismatch, 412, "version_mismatch", members=("current",), headers=mismatch_headers)
    config.add_problem(errors.EditConflict, 409, "conflict")
    config.add_problem(errors.NodeHasChildren, 409, "node_has_children")
    config.add_problem(errors.InvalidNode, 422, "invalid", pointer="field")
    config.add_problem(errors.TagExists, 409, "already_exists")
    for module in ("node_views", "tag_views"):
        config.include(f"tenantapp.workspace.{module}", route_prefix=PREFIX)
        config.scan(f"tenantapp.workspace.{module}")
