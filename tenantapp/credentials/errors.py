"""The errors of this package.

CredentialsError
+-- LinkNotValid             a one-time link is unknown, was used, or has expired: always the same error
+-- TooManyLinks             as many links were sent to a person as may be used at once
+-- InvalidBreachedList      a list of breached passwords is not what it should be
+-- TooManyAttempts          the throttle refuses an attempt before it is checked
+-- ThrottleUnavailable      the store of the throttle does not answer, so nothing that can be guessed is checked
+-- Continued                a sign-in goes on with another step; it has a challenge
|   +-- SignInIncomplete         the password is right, and a second factor is needed too
|   +-- PasswordChangeRequired   everything is right, and the password is to be changed first
+-- ChallengeEnded           a challenge is unknown, used, expired, or was answered wrongly too often
+-- InvalidCode              a code or a passkey is wrong, or was used before
+-- InvalidPasskey           a new passkey cannot be taken
+-- FactorNeeded             the last second factor that works at this host stays while the person needs it to sign in
+-- NoSecondFactor           recovery codes are for people with a second factor
+-- TooManyPasskeys          the person has as many passkeys as they may have

InvalidValue
+-- WrongOldPassword         what is said to be the present password is not
"""

from datetime import timedelta
from typing import Any

from tenantapp.identity.errors import IdentityError, InvalidValue


class CredentialsError(IdentityError):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class LinkNotValid(CredentialsError):
    """A one-time link is unknown, was used, or has expired. The message does not say which."""

    def __init__(self) -> None:
        super().__init__("This link is not valid, or no longer. Ask for a new one.")


class TooManyLinks(CredentialsError):
    """As many links were sent to a person as may be used at once. They expire within ``retry_after`` seconds."""

    def __init__(self, lifetime: timedelta) -> None:
        self.retry_after = round(lifetime.total_seconds())
        super().__init__(f"Too many links were sent. Use one of them, or wait {self.retry_after // 60} minutes.")


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


class Continued(CredentialsError):
    """A sign-in goes on with another step. ``challenge`` has its ``token``, its ``methods`` and ``expires_at``."""

    def __init__(self, sentence: str, challenge: dict[str, Any]) -> None:
        super().__init__(sentence)
        self.challenge = challenge


class SignInIncomplete(Continued):
    """The password is right. The person has a second factor, which is needed too."""

    def __init__(self, challenge: dict[str, Any]) -> None:
        super().__init__("Prove who you are by a second factor too.", challenge)


class PasswordChangeRequired(Continued):
    """Everything is right. Somebody else has set the password, so the person chooses another first."""

    def __init__(self, challenge: dict[str, Any]) -> None:
        super().__init__("Choose a password of your own first.", challenge)


class ChallengeEnded(CredentialsError):
    """A challenge is unknown, was used, has expired, or was answered wrongly too often."""

    def __init__(self) -> None:
        super().__init__("This took too long, or there were too many attempts. Begin again.")


class InvalidCode(CredentialsError):
    """A code or a passkey is wrong, or was used before. ``reason`` is for the log and the audit trail."""

    reason = "wrong second factor"

    def __init__(self) -> None:
        super().__init__("The code or the passkey is wrong, or was used before.")


class InvalidPasskey(CredentialsError):
    """What an authenticator says about a new passkey is wrong."""

    field = "passkey"

    def __init__(self) -> None:
        super().__init__("This passkey cannot be added. Begin again.")


class FactorNeeded(CredentialsError):
    """The last second factor that works at this host stays while the person needs it to sign in.

    They do if one of their tenants requires one, if they have no password, or if they have passkeys of other hosts.
    """

    def __init__(self) -> None:
        super().__init__("You need this factor to sign in. Set up another one first.")


class NoSecondFactor(CredentialsError):
    """Recovery codes stand in for a second factor, and the person has none."""

    def __init__(self) -> None:
        super().__init__("Set up a second factor first.")


class TooManyPasskeys(CredentialsError):
    """The person has as many passkeys as anybody may have."""

    def __init__(self, most: int) -> None:
        super().__init__(f"Nobody has more than {most} passkeys. Remove one first.")


class WrongOldPassword(InvalidValue):
    """What is said to be the present password is not. ``reason`` is for the log and the audit trail."""

    reason = "wrong old password"

    def __init__(self) -> None:
        super().__init__("old", "This is not your present password.")
