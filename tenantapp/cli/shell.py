"""The names that ``pshell development.ini`` offers. The ini files name this module in ``[pshell] setup``."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from sqlalchemy.orm import Session

from tenantapp.identity.local_access import local_access
from tenantapp.tenancy.access import Access


def setup(env: dict[str, Any]) -> Iterator[None]:
    """Add ``user_session``, ``access`` and ``tenant_session``. At the end, uncommitted changes are rolled back.

    Commit or roll back before you pause: on SQLite, a session in a transaction can stop all others from writing to its
    database.
    """
    registry = env["registry"]
    with ExitStack() as sessions:

        def access(slug: str, login: str | None = None) -> Access:
            """access("acme", login="ada"): an access for services; without a login, it has every permission."""
            with registry.user_db.begin(read_only=True) as session:
                return local_access(session, slug, login=login)

        def tenant_session(slug: str, login: str | None = None) -> Session:
            """tenant_session("acme"): an open session on the tenant's database; commit() keeps the changes."""
            factory = registry.tenant_dbs.for_access(access(slug, login))
            session: Session = sessions.enter_context(factory.get_session())
            return session

        user_session = sessions.enter_context(registry.user_db.get_session())
        # pshell shows docstrings in its banner.
        user_session.__doc__ = "An open session on the user database; commit() keeps the changes."
        env["user_session"] = user_session
        env["access"] = access
        env["tenant_session"] = tenant_session
        yield
