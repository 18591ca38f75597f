"""The errors of this package.

JoiningError
+-- TooManyInvitations   the tenant has as many open invitations as the setting ``invitations.most`` allows
+-- NotInvited           the invitation is for the person with another login
"""

from tenantapp.identity.errors import IdentityError


class JoiningError(IdentityError):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class TooManyInvitations(JoiningError):
    """The tenant has as many open invitations as the setting ``invitations.most`` allows."""

    def __init__(self, most: int) -> None:
        super().__init__(f"No tenant has more than {most} open invitations. Revoke one first.")


class NotInvited(JoiningError):
    """The invitation is for the person with another login, who is named: the link was in a mail to them."""

    def __init__(self, login: str) -> None:
        super().__init__(f"This invitation is for {login}. Sign in with this account.")
