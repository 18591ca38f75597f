"""Which notes does a team keep, what do people say about them, and who may change them?

The bundled domain: replace it with your own through the setting ``tenantapp.domain``.
"""

from typing import TYPE_CHECKING

from tenantapp.workspace import errors

if TYPE_CHECKING:
    from pyramid.config import Configurator


def includeme(config: "Configurator") -> None:
    """Add the resources under ``/api/v1``, and map this package's errors to status and code."""
    from tenantapp.workspace.attachments import attachments
    from tenantapp.workspace.comments import comments
    from tenantapp.workspace.nodes import nodes
    from tenantapp.workspace.tags import tags

    config.add_problem(errors.NodeHasChildren, 409, "node_has_children")
    for resource in (nodes, tags, comments, attachments):
        config.add_resource(resource)
