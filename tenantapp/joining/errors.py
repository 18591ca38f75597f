"""The errors of this package.

JoiningError
+-- TooManyInvitations   the tenant has as many open invitations as the setting ``invitations.most`` allows
"""

from tenantapp.identity.errors import IdentityError


class JoiningError(IdentityError):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class TooManyInvitations(JoiningError):
    """The tenant has as many open invitations as the setting ``invitations.most`` allows."""

    def __init__(self, most: int) -> None:
        super().__init__(f"No tenant has more than {most} open invitations. Revoke one first.")
