"""How does a domain, or an account, send mail, exactly if what it tells about is committed?

A message is a job of the tenant (``work``), queued in the transaction of what it tells about. ``messages`` checks what
is to be sent, and queues it. ``sending`` is the handler of the job. ``transports`` hand a message to an SMTP server, or
write it to a file.

Mail of accounts waits in the user database: ``outbox`` has its rows, and ``delivering`` the thread that sends them.
``letters`` writes it from templates. ``application`` is the part in the application.
"""

from typing import Any


def includeme(config: Any) -> None:
    """Include ``application``. It is named, not imported, so that a command can import one module alone."""
    config.include("tenantapp.mail.application")
