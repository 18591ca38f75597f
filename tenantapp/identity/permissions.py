"""The permissions and roles that every installation starts with.

A permission is named ``what.how``. A domain may have permissions of its own, given to roles with
``tenantapp roles allow ROLE PERMISSION``.
"""

from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """What a view may ask for."""

    # Signed in, no matter in which tenant: the only one that is not looked up in a role.
    SIGNED_IN = "session.use"
    CONTENT_READ = "content.read"
    CONTENT_CREATE = "content.create"
    CONTENT_EDIT_ANY = "content.edit_any"
    MEMBERS_MANAGE = "members.manage"


_READER: Final = (Permission.CONTENT_READ,)
_AUTHOR: Final = (*_READER, Permission.CONTENT_CREATE)
_EDITOR: Final = (*_AUTHOR, Permission.CONTENT_EDIT_ANY)
_ADMIN: Final = (*_EDITOR, Permission.MEMBERS_MANAGE)

# The tenant roles in the order of their rank, least first.
ROLES: Final[dict[str, tuple[Permission, ...]]] = {
    "reader": _READER,
    "author": _AUTHOR,
    "editor": _EDITOR,
    "admin": _ADMIN,
}
