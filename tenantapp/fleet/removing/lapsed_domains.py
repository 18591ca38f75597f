"""Take domains of mail addresses from tenants that publish the proof no longer."""

from tenantapp.credentials.post import Post
from tenantapp.federation.domains import check_due
from tenantapp.federation.txt_records import TxtRecords
from tenantapp.operations.fleet import Fleet


def check_domains(fleet: Fleet) -> None:
    """Look for the records of domains that are due: a chore of workers. It looks first without the write lock."""
    settings = fleet.settings
    records = TxtRecords(settings.dns_servers, seconds=settings.dns_timeout, most=1)
    lacking = None if settings.mail_url else "the setting mail.url is not set"
    check_due(fleet.user_db, records, Post(settings.web_address or "", lacking))
