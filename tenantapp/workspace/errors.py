"""The errors of the workspace.

WorkspaceError
+-- NotFound                    this tenant has no such node or tag
+-- NotOwner                    somebody else owns the node, and the person is not an editor
+-- VersionMismatch             the client named another version of the node; `current` is the present node
+-- EditConflict                somebody else changed the node at the same moment
+-- NodeHasChildren             only a node without children can be deleted
+-- InvalidNode                 a value conflicts with the other nodes; `field` names it
+-- TagExists                   the tag's name is taken
"""

import orjson


class WorkspaceError(Exception):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class NotFound(WorkspaceError):
    """The tenant has no such row."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"There is no such {kind}.")


class NotOwner(WorkspaceError):
    """The person may not change this node."""

    def __init__(self) -> None:
        super().__init__("Only its owner or an editor may change this node.")


class VersionMismatch(WorkspaceError):
    """The node has changed since the client read it."""

    def __init__(self, version: int, current: orjson.Fragment) -> None:
        super().__init__(f"The node is at version {version} now.")
        self.version = version
        self.current = current


class EditConflict(WorkspaceError):
    """Somebody else changed the node first. Nothing was overwritten."""

    def __init__(self) -> None:
        super().__init__("Somebody else changed this node at the same moment. Read it again.")


class NodeHasChildren(WorkspaceError):
    """Deleting the node would leave other nodes without their parent."""

    def __init__(self) -> None:
        super().__init__("This node has nodes below it. Delete or move them first.")


class InvalidNode(WorkspaceError):
    """A value is well-formed, but conflicts with the other nodes."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class TagExists(WorkspaceError):
    """The tag's name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The tag {name} already exists.")
