"""Write to people about their accounts: links to their address, and notices of what was changed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from tenantapp.credentials.one_time_links import LIFETIMES, Purpose, address_of
from tenantapp.mail.errors import MailNotConfigured
from tenantapp.mail.letters import write_letter
from tenantapp.mail.outbox import queue
from tenantapp.sql.times import utcnow

PACKAGE: Final = "tenantapp.credentials"
NOTICE_LIVES: Final = timedelta(days=2)  # after which a notice that could not be sent is given up


@dataclass(frozen=True, slots=True)
class Post:
    """How people are written to. ``lacking`` is a sentence that says why they cannot be, or None.

    ``web_address`` is where the page is, for links. ``language`` is that of the person, as far as it is known.
    """

    web_address: str
    lacking: str | None = None
    language: str = "en"

    def require(self) -> None:
        """Raise ``MailNotConfigured`` if people cannot be written to."""
        if self.lacking is not None:
            raise MailNotConfigured(self.lacking)

    def link(
        self,
        session: Session,
        address: str,
        purpose: Purpose,
        token: str,
        expires_at: datetime,
        *,
        package: str = PACKAGE,
        **values: str,
    ) -> None:
        """Have a link sent in the session's transaction. The template of the package has the name of the purpose.

        Besides ``values``, it may have the ``link``, and how long it works: ``days``, ``hours`` or ``minutes``.
        """
        values |= _lifetime(purpose) | {"link": address_of(self.web_address, purpose, token)}
        letter = write_letter(package, purpose, values, self.language)
        queue(session, address, letter, expires_at)

    def notice(
        self, session: Session, address: str | None, name: str, *, package: str = PACKAGE, **values: str
    ) -> None:
        """Have a notice sent to a confirmed address, if the person has one and can be written to."""
        if address is not None and self.lacking is None:
            letter = write_letter(package, name, {**values, "page": self.web_address}, self.language)
            queue(session, address, letter, utcnow() + NOTICE_LIVES)


def _lifetime(purpose: Purpose) -> dict[str, str]:
    units = {"days": timedelta(days=1), "hours": timedelta(hours=1), "minutes": timedelta(minutes=1)}
    return {name: str(LIFETIMES[purpose] // unit) for name, unit in units.items()}
