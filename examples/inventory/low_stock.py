"""What runs low in all companies in which somebody may read: ``python low_stock.py development.ini ann``."""

import sys
from collections.abc import Iterator
from typing import Any

from pyramid.paster import bootstrap
from tenantapp.fleet.querying.queries import query_for_person
from tenantapp.identity.users import get_user

LOW = "SELECT sku, name, stock, reorder_level FROM products WHERE stock <= reorder_level ORDER BY sku"


def low_stock(registry: Any, login: str) -> Iterator[tuple[Any, ...]]:
    """Yield the company and what is asked of each product, or why the company does not answer."""
    with registry.user_db.begin(read_only=True) as session:
        user_id = get_user(session, login).id
    for answer in query_for_person(registry.user_db, registry.tenant_dbs, user_id, LOW):
        for row in [(answer.failure,)] if answer.failure else answer.rows:
            yield (answer.place.slug, *row)


if __name__ == "__main__":
    with bootstrap(sys.argv[1]) as env:
        for line in low_stock(env["registry"], sys.argv[2]):
            print(*line)
