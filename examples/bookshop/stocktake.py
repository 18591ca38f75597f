"""Count the books in stock in each shop: ``python stocktake.py development.ini``."""

import sys

from pyramid.paster import bootstrap
from tenantapp.identity.local_access import local_access
from tenantapp.identity.tenants import list_tenants

from bookshop.books import list_books


def main(ini: str) -> None:
    """Print a line for each shop."""
    with bootstrap(ini) as env:
        registry = env["registry"]
        with registry.user_db.begin(read_only=True) as session:
            accesses = [local_access(session, tenant.slug) for tenant in list_tenants(session)]
        for access in accesses:
            with registry.tenant_dbs.begin(access, read_only=True) as session:
                stock = sum(book.stock for book in list_books(session))
            print(f"{access.require_tenant().slug}: {stock}")


if __name__ == "__main__":
    main(sys.argv[1])
