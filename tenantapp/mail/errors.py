"""The errors of this package.

MailError
+-- MailNotConfigured   the installation sends no mail
+-- InvalidMail         a message cannot be sent as it is: a mistake of who asks for it
+-- MailDelayed         the mail server does not take a message now; it is tried again
+-- MailRefused         the mail server will never take this message for this recipient
"""

from tenantapp.operations.errors import FleetError


class MailError(FleetError):
    """Base of this package's errors. ``str(error)`` is a sentence."""


class MailNotConfigured(MailError):
    """The installation sends no mail. ``lacking`` says why."""

    def __init__(self, lacking: str = "the setting mail.url is not set") -> None:
        super().__init__(f"This installation sends no mail: {lacking}.")


class InvalidMail(MailError):
    """A message cannot be sent as it is. ``part`` names the argument that is wrong."""

    def __init__(self, part: str, sentence: str) -> None:
        super().__init__(f"The mail has a wrong {part}. {sentence}")
        self.part = part


class MailDelayed(MailError):
    """The mail server does not take a message now."""


class MailRefused(MailError):
    """The mail server will never take this message for this recipient."""
