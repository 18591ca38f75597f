"""Take domains of mail addresses from tenants that publish the proof no longer.

It waits for the DNS, so it has a thread of its own beside those that work on operations.
"""

from threading import Event
from typing import Final

from tenantapp.credentials.post import Post
from tenantapp.federation.domains import check_due
from tenantapp.federation.txt_records import TxtRecords
from tenantapp.operations.background import repeat
from tenantapp.operations.fleet import Fleet

LOOK_EVERY: Final = 60.0  # seconds; each domain is looked at once a day


def keep_checking_domains(fleet: Fleet, stop: Event) -> None:
    """Check domains until ``stop`` is set."""
    repeat(stop, {"Domains cannot be looked at": lambda: check_domains(fleet)}, LOOK_EVERY)


def check_domains(fleet: Fleet) -> bool:
    """Look for the records of some domains that are due. Return whether others may be due.

    It looks first without the write lock.
    """
    settings = fleet.settings
    records = TxtRecords(settings.dns_servers, seconds=settings.dns_timeout, most=1)
    lacking = None if settings.mail_url else "the setting mail.url is not set"
    return check_due(fleet.user_db, records, Post(settings.web_address or "", lacking))
