"""The permissions and roles that every installation starts with.

A permission is named ``what.how``. A domain may have permissions of its own. ``tenantapp roles allow ROLE PERMISSION``
gives them to roles.
"""

from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """The permissions of the bundled views."""

    # No role has these five. The first needs a signed-in person, the second one who may change their own account, the
    # third one who may enter the tenant of the request, the fourth an operator of the installation. No API token will
    # do for them. The fifth is the third for people and API tokens: the view itself has to check what they may do.
    SIGNED_IN = "session.use"
    OWN_ACCOUNT = "session.own_account"
    IN_TENANT = "session.in_tenant"
    FLEET_OPERATE = "fleet.operate"
    TENANT_ENTER = "tenant.enter"
    CONTENT_READ = "content.read"
    CONTENT_CREATE = "content.create"
    CONTENT_EDIT_ANY = "content.edit_any"
    MEMBERS_MANAGE = "members.manage"
    TENANT_EXPORT = "tenant.export"
    WEBHOOKS_MANAGE = "webhooks.manage"
    JOBS_MANAGE = "jobs.manage"


_READER: Final = (Permission.CONTENT_READ,)
_AUTHOR: Final = (*_READER, Permission.CONTENT_CREATE)
_EDITOR: Final = (*_AUTHOR, Permission.CONTENT_EDIT_ANY)
_ADMIN: Final = (
    *_EDITOR,
    Permission.MEMBERS_MANAGE,
    Permission.TENANT_EXPORT,
    Permission.WEBHOOKS_MANAGE,
    Permission.JOBS_MANAGE,
)

NOT_FOR_TOKENS: Final = frozenset(
    {Permission.SIGNED_IN, Permission.OWN_ACCOUNT, Permission.IN_TENANT, Permission.FLEET_OPERATE}
)
OF_NO_ROLE: Final = NOT_FOR_TOKENS | {Permission.TENANT_ENTER}

# The roles in tenants by rank, the lowest first.
ROLES: Final[dict[str, tuple[Permission, ...]]] = {
    "reader": _READER,
    "author": _AUTHOR,
    "editor": _EDITOR,
    "admin": _ADMIN,
}
