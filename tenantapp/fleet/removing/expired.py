"""Remove what has expired in the user database and may let somebody in: one-time links, and mail that has them."""

from tenantapp.credentials.one_time_links import has_expired_links, sweep_links
from tenantapp.mail.outbox import has_expired_mails, sweep_mails
from tenantapp.operations.fleet import Fleet


def remove_expired(fleet: Fleet) -> None:
    """Delete expired one-time links and messages: a chore of workers.

    It looks first without the write lock, of which SQLite has only one.
    """
    if has_expired_links(fleet.user_db) or has_expired_mails(fleet.user_db):
        with fleet.user_db.begin() as session:
            sweep_links(session)
            sweep_mails(session)
