"""The errors of this package.

CredentialsError
+-- LinkNotValid          a one-time link is unknown, was used, or has expired: always the same error
+-- InvalidBreachedList   a list of breached passwords is not what it should be
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
