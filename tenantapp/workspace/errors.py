"""What can go wrong in the workspace.

WorkspaceError
+-- NotFound                    no such node or tag in this tenant
+-- NotOwner                    the node is somebody else's, and the person is not an editor
+-- VersionMismatch             the node is at another version than the client says; `current` is the node now
+-- EditConflict                somebody else changed it at the same moment
+-- NodeHasChildren             only a leaf of the tree can be deleted
+-- InvalidNode                 a value that only the database could refuse; `field` names it
+-- TagExists                   the tag's name is taken
"""

import orjson


class WorkspaceError(Exception):
    """Base of the room's errors. ``str(error)`` is a sentence that may be shown to the person."""


class NotFound(WorkspaceError):
    """There is no such row in this tenant."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"There is no such {kind}.")


class NotOwner(WorkspaceError):
    """Only its owner and editors may change a node."""

    def __init__(self) -> None:
        super().__init__("Only its owner or an editor may change this node.")


class VersionMismatch(WorkspaceError):
    """The condition of the request does not hold any more."""

    def __init__(self, version: int, current: orjson.Fragment) -> None:
        super().__init__(f"The node is at version {version} now.")
        self.current = current


class EditConflict(WorkspaceError):
    """A lost race: nothing was overwritten."""

    def __init__(self) -> None:
        super().__init__("Somebody else changed this at the same moment. Read it again.")


class NodeHasChildren(WorkspaceError):
    """Deleting would orphan other nodes."""

    def __init__(self) -> None:
        super().__init__("This node has nodes below it. Delete or move them first.")


class InvalidNode(WorkspaceError):
    """A value that is well-formed and wrong here."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class TagExists(WorkspaceError):
    """Tag names are unique."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a tag {name} already.")
