"""The errors of this package.

OutgoingError
+-- TargetRefused      requests may not go to this address
+-- RequestFailed      the other side did not answer, or not as it should
"""


class OutgoingError(Exception):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class TargetRefused(OutgoingError):
    """Requests may not go to this address. ``field`` names the member of the body that has it."""

    field = "url"


class RequestFailed(OutgoingError):
    """A request has failed. ``status`` is the status of the answer, or None if there was none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
