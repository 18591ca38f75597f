"""The errors of this package.

JoiningError
+-- TooManyInvitations   the tenant has as many open invitations as the setting ``invitations.most`` allows
+-- NotInvited           the invitation is for the person with another login
+-- AddressCaptured      who has this address registers by the identity provider of a tenant
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


class AddressCaptured(JoiningError):
    """Who has this mail address registers by the identity provider of a tenant. ``start`` is where a browser does."""

    def __init__(self, slug: str) -> None:
        self.start = start_of(slug)
        super().__init__("Your organisation signs in by single sign-on. Go on there: you need no account of your own.")


def start_of(slug: str) -> str:
    """Return the path at which a browser signs in by the identity provider of a tenant."""
    return f"/sso/{slug}/start"
