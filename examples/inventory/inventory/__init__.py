"""Inventories: each company is a tenant, with products, movements, suppliers and orders in a database of its own."""

from pyramid.config import Configurator

from inventory.orders import ORDERS_PLACE, WrongState, order_lines, order_what_runs_low, orders
from inventory.stock import STOCK_COUNT, movements, products, seed, suppliers


def includeme(config: Configurator) -> None:
    """Declare what there is. tenantapp calls this at start-up."""
    config.add_problem(WrongState, 409, "wrong_state")
    holders = ["editor", "admin"]
    config.add_permission(STOCK_COUNT, "Move products in and out of stock", holders, {"de": "Ein- und Ausgänge buchen"})
    config.add_permission(ORDERS_PLACE, "Order from suppliers", holders, {"de": "Bei Lieferanten bestellen"})
    config.add_role("warehouse", after="author", holds=["content.read", STOCK_COUNT])
    for resource in (products, movements, suppliers, orders, order_lines):
        config.add_resource(resource)
    config.add_tenant_hook("created", seed)
    config.add_job("order_what_runs_low", order_what_runs_low, cron="0 3 * * *")
