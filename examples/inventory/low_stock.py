"""What runs low in all companies in which somebody may read: ``python low_stock.py development.ini ann``."""

import sys

from pyramid.paster import bootstrap
from tenantapp.fleet.querying.queries import query_for_person
from tenantapp.identity.users import get_user

LOW = "SELECT sku, name, stock, reorder_level FROM products WHERE stock <= reorder_level ORDER BY sku"


def main(ini: str, login: str) -> None:
    """Print a line for each product."""
    with bootstrap(ini) as env:
        registry = env["registry"]
        with registry.user_db.begin(read_only=True) as session:
            user_id = get_user(session, login).id
        for answer in query_for_person(registry.user_db, registry.tenant_dbs, user_id, LOW):
            for row in answer.rows:
                print(answer.place.slug, *row)


if __name__ == "__main__":
    main(*sys.argv[1:])
