"""Can the audit trail be trusted, and who is told of it?

``identity.audit`` writes entries. ``sealing`` puts each into the chain of its tenant. ``sweeping`` deletes old ones.
``verifying`` checks the chains, from the database or from a file that ``exporting`` has written. ``canonical`` says
what a hash covers, and ``checkpoints`` signs where a chain begins and ends. ``streaming`` sends entries on, and
``keeper`` is the thread that seals and sends. ``forgetting`` erases a person, whom ``named_person`` finds.
"""

from typing import Any


def includeme(config: Any) -> None:
    """Include ``application``. It is named, not imported, so that a command can import one module alone."""
    config.include("tenantapp.audit.application")
