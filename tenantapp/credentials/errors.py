"""The errors of this package.

CredentialsError
+-- LinkNotValid          a one-time link is unknown, was used, or has expired: always the same error
+-- InvalidBreachedList   a list of breached passwords is not what it should be
+-- TooManyAttempts       the throttle refuses an attempt before it is checked
+-- ThrottleUnavailable   the store of the throttle does not answer, so nothing that can be guessed is checked
"""

from tenantapp.identity.errors import IdentityError


class CredentialsError(IdentityError):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class LinkNotValid(CredentialsError):
    """A one-time link is unknown, was used, or has expired. The message does not say which."""

    def __init__(self) -> None:
        super().__init__("This link is not valid, or no longer. Ask for a new one.")


class InvalidBreachedList(CredentialsError):
    """A list of breached passwords, or the filter made of it, is not what it should be."""


class TooManyAttempts(CredentialsError):
    """The throttle refuses an attempt, which was not checked.

    ``retry_after`` is how long to wait, in seconds. ``reason`` is for the log: whose attempts were too many.
    ``refused`` is how many attempts were refused in the present wait, this one included.
    """

    def __init__(self, reason: str, retry_after: int, refused: int) -> None:
        super().__init__("There were too many attempts. Wait, and try again.")
        self.reason, self.retry_after, self.refused = reason, retry_after, refused


class ThrottleUnavailable(CredentialsError):
    """The store of the throttle does not answer. Without it nobody knows how often somebody has guessed already."""

    def __init__(self) -> None:
        super().__init__("Nobody can sign in right now. Try again in a moment.")
