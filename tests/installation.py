"""The installation of our own tests: the tenants acme and globex, and their people. The rest is of the kit."""

from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from tenantapp.identity import grants, groups, users
from tenantapp.identity.tenants import get_tenant
from tenantapp.testing import installation as kit
from tenantapp.testing.client import Client as Client
from tenantapp.testing.client import documented as documented
from tenantapp.testing.documented import Documented
from tenantapp.testing.installation import MEMORY as MEMORY
from tenantapp.testing.installation import PASSWORD as PASSWORD
from tenantapp.testing.installation import PASSWORD_HASH as PASSWORD_HASH
from tenantapp.testing.installation import PATIENT as PATIENT
from tenantapp.testing.installation import SECRET as SECRET
from tenantapp.testing.queries import StatementRecorder as StatementRecorder
from tenantapp.testing.rolling_back import rolled_back as rolled_back

TENANTS = ("acme", "globex")
Documented.strict = True


class Installation(kit.Installation):
    """Settings, application and databases of one tenantapp, with the tenants acme and globex, and with people."""

    def __init__(self, settings: dict[str, str]) -> None:
        super().__init__(settings, TENANTS)
        with self.registry.user_db.begin() as session:
            add_people(session)


def add_people(session: Session) -> None:
    """People with every role in acme, one in globex alone, one in both, one in neither, one who is disabled."""
    for login in ("ada", "ed", "bob", "rita", "gina", "both", "nobody", "gone"):
        users.create_user(session, login, name=login.title(), password_hash=PASSWORD_HASH)
    users.set_enabled(session, "gone", False)
    acme, globex = (get_tenant(session, slug).id for slug in TENANTS)
    groups.create_group(session, "editors")
    groups.join_group(session, "ed", "editors")
    grants.add_grant(session, acme, "editor", group="editors")
    for tenant_id, role, login in (
        (acme, "admin", "ada"),
        (acme, "author", "bob"),
        (acme, "reader", "rita"),
        (acme, "author", "gone"),
        (globex, "admin", "gina"),
        (acme, "author", "both"),
        (globex, "author", "both"),
    ):
        grants.add_grant(session, tenant_id, role, login=login)


def sqlite_installation(directory: Path, **settings: str) -> AbstractContextManager[Installation]:
    """On SQLite files in this directory."""
    return kit.on_sqlite(Installation, directory, settings)


def postgres_installation(server: URL, **settings: str) -> AbstractContextManager[Installation]:
    """On databases of this PostgreSQL server, removed at the end."""
    return kit.on_postgres(Installation, server, settings)
