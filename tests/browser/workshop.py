"""An installation that tests change from within, served in a thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tenantapp.fleet.creating.create import create_tenant
from tenantapp.identity import grants, tenants
from tests.browser.site import Site
from tests.built_page import DIST
from tests.installation import Installation, sqlite_installation
from tests.transactions.server import serving


@dataclass(frozen=True)
class Workshop:
    """Where it is, and its databases."""

    site: Site
    installation: Installation

    def create_tenant(self, slug: str, name: str | None = None, **roles: str) -> None:
        """Make a workspace with these roles, by the logins of people. Its name may be any text."""
        registry = self.installation.registry
        create_tenant(registry.fleet, slug, name=name or slug.title())
        with registry.user_db.begin() as session:
            tenant_id = tenants.get_tenant(session, slug).id
            for login, role in roles.items():
                grants.add_grant(session, tenant_id, role, login=login)


@contextmanager
def workshop_in(directory: Path) -> Iterator[Workshop]:
    """Serve it during the block."""
    with (
        sqlite_installation(directory, **{"web.directory": str(DIST), "identity.registration": "open"}) as installation,
        serving(installation.app) as (_, port),
    ):
        yield Workshop(Site(directory, port, {}), installation)
