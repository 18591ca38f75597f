"""The permissions and roles that every installation starts with.

A permission is named ``what.how``. A domain may have permissions of its own, given to roles with
``tenantapp roles allow ROLE PERMISSION``.
"""

from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """What a view may ask for."""

    # These two are not looked up in a role: signed in, no matter in which tenant; and an operator of the installation.
    SIGNED_IN = "session.use"
    FLEET_OPERATE = "fleet.operate"
    CONTENT_READ = "content.read"
    CONTENT_CREATE = "content.create"
    CONTENT_EDIT_ANY = "content.edit_any"
    MEMBERS_MANAGE = "members.manage"
    TENANT_EXPORT = "tenant.export"


_READER: Final = (Permission.CONTENT_READ,)
_AUTHOR: Final = (*_READER, Permission.CONTENT_CREATE)
_EDITOR: Final = (*_AUTHOR, Permission.CONTENT_EDIT_ANY)
_ADMIN: Final = (*_EDITOR, Permission.MEMBERS_MANAGE, Permission.TENANT_EXPORT)

OF_NO_ROLE: Final = frozenset({Permission.SIGNED_IN, Permission.FLEET_OPERATE})

# The tenant roles in the order of their rank, least first.
ROLES: Final[dict[str, tuple[Permission, ...]]] = {
    "reader": _READER,
    "author": _AUTHOR,
    "editor": _EDITOR,
    "admin": _ADMIN,
}
