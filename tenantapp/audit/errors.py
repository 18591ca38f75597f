"""The exceptions of the audit trail.

AuditError
├── NotATrail         a file is not what ``tenantapp audit export`` writes
├── NotOurSignature   a chain is not signed by a key that is trusted
├── NotSent           the stream does not take entries
└── NotForgotten      a person or a tenant cannot be forgotten, and the message says why
    └── NotForgottenYet   an operation that has not finished needs the login
"""

from uuid import UUID


class AuditError(Exception):
    """Base class of the exceptions of the audit trail. The message is one sentence for an operator."""


class NotATrail(AuditError):
    """A file is not what ``tenantapp audit export`` writes."""


class NotOurSignature(AuditError):
    """A chain is not signed by a key that is trusted."""


class NotSent(AuditError):
    """The stream does not take entries now."""


class NotForgotten(AuditError):
    """A person or a tenant cannot be forgotten."""


class NotForgottenYet(NotForgotten):
    """A person is out, and will be forgotten when an operation that names them has finished."""

    def __init__(self, user_id: UUID, operation_id: UUID) -> None:
        super().__init__(
            f"The person {user_id} is out, but the operation {operation_id} that names them has not finished. When it"
            " has, a worker forgets the person; so does the same command"
        )
