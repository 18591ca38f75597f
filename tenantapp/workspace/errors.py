"""The errors of the workspace, beside those of every resource (``tenantapp.resources.errors``)."""

from tenantapp.resources.errors import ResourceError


class NodeHasChildren(ResourceError):
    """Deleting the node would leave other nodes without their parent."""

    def __init__(self) -> None:
        super().__init__("This node has nodes below it. Delete or move them first.")
