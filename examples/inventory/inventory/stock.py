"""Suppliers, products and movements. A movement changes the stock in its own transaction, and stays as it is."""

from typing import Final

from tenantapp.fleet.hooks.running import Hook
from tenantapp.identity.permissions import Permission
from tenantapp.resources import Display, Match, Resource, Write, content_of
from tenantapp.resources.errors import InvalidField, InvalidReference

from inventory.models import Movement, Product, Supplier

STOCK_COUNT: Final = "stock.count"

suppliers: Final = Resource(
    "suppliers",
    Supplier,
    body=content_of(Supplier, "name"),
    read=Permission.CONTENT_READ,
    write=Permission.CONTENT_CREATE,
)
products: Final = Resource(
    "products",
    Product,
    body=content_of(Product, "sku", "name", "supplier_id", "picture_id", "reorder_level"),
    shows=("stock",),
    read=Permission.CONTENT_READ,
    write=Permission.CONTENT_CREATE,
    filters={"supplier_id": Product.supplier_id, "name": Match(Product.name, like=True)},
    sorts={"name": Product.name},
    display=Display(icon="box", order=90, title="name", columns=("name", "sku", "stock", "reorder_level")),
)
movements: Final = Resource(
    "movements",
    Movement,
    body=content_of(Movement, "product_id", "quantity", "reason"),
    shows=("moved_by", "moved_at"),
    read=Permission.CONTENT_READ,
    write=STOCK_COUNT,
    filters={"product_id": Movement.product_id},
    can=("create",),
)


@movements.on("create")
def move(write: Write[Movement]) -> None:
    """Change the stock. Others wait for the product until the commit, so that no two take the same pieces."""
    product = write.session.get(Product, write.row.product_id, with_for_update=True, populate_existing=True)
    if product is None:
        raise InvalidReference("product_id")
    if product.stock + write.row.quantity < 0:
        raise InvalidField("quantity", f"Only {product.stock} are in stock.")
    product.stock += write.row.quantity
    write.row.moved_by = write.access.person.id


def seed(hook: Hook) -> None:
    """Give a new company its first supplier."""
    hook.session.add(Supplier(name="Our own workshop"))
