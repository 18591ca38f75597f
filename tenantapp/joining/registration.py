"""Register people: by an invitation, or where the settings let them register by themselves."""

from sqlalchemy.orm import Session

from tenantapp.identity.look_alikes import check_own_login
from tenantapp.identity.models import User
from tenantapp.identity.names import check_login, clean_name
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.identity.users import create_user
from tenantapp.joining import invitations


def check_person(login: str, name: str | None) -> None:
    """Raise ``InvalidValue`` if nobody may choose this login and this name for themselves. Costs no hash."""
    check_own_login(check_login(login))
    if name is not None:
        clean_name(name)


def register_invited(session: Session, token: str, *, login: str, name: str | None, password_hash: str) -> User:
    """Make the person who has the link of an invitation, and let them accept it. Their address is confirmed by it.

    Raises ``LinkNotValid``, ``InvalidValue``, and ``AlreadyExists`` for the login or the address. Who has the link
    reads the mail of the address, so they may learn that it has an account.
    """
    invitation, link = invitations.use_linked(session, token)
    user = create_user(session, login, name=name, password_hash=password_hash)
    user.mail_address = link.mail_address
    flush_unique(session, "account with the address", link.mail_address)
    invitations.accept(session, invitation, user.id)
    return user
