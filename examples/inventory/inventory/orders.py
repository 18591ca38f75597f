"""Orders and their lines: an order is a draft, then placed, and then received or cancelled."""

from collections.abc import Iterator
from itertools import groupby
from typing import Annotated, Final, Literal

from pydantic import Field
from sqlalchemy import select
from tenantapp.identity.permissions import Permission
from tenantapp.resources import Display, Match, Resource, Write, content_of, create_row
from tenantapp.resources.errors import ResourceError
from tenantapp.sql.times import utcnow
from tenantapp.work.running import Job

from inventory.models import Order, OrderLine, Product
from inventory.stock import movements

ORDERS_PLACE: Final = "orders.place"
State = Literal["draft", "placed", "received", "cancelled"]
STEPS: Final = {("draft", "placed"), ("draft", "cancelled"), ("placed", "received"), ("placed", "cancelled")}


class WrongState(ResourceError):
    """The order is not in a state in which this can be done."""


orders: Final = Resource(
    "orders",
    Order,
    body=content_of(Order, "number", "supplier_id", state=State),
    read=Permission.CONTENT_READ,
    write=ORDERS_PLACE,
    filters={"supplier_id": Order.supplier_id, "state": Match(Order.state, value=State)},
    problems=("wrong_state",),
)
order_lines: Final = Resource(
    "order_lines",
    OrderLine,
    body=content_of(OrderLine, "order_id", "product_id", quantity=Annotated[int, Field(ge=1, le=1_000_000)]),
    read=Permission.CONTENT_READ,
    write=ORDERS_PLACE,
    filters={"order_id": OrderLine.order_id},
    touches=(OrderLine.order_id,),
    problems=("wrong_state",),
    display=Display(within="order_id", columns=("product_id", "quantity")),
)


@orders.on("create", "change", "delete")
def step(write: Write[Order]) -> Iterator[None]:
    """Let an order go one step, and its goods come into stock when it is received."""
    before, after = (content.state if content else "draft" for content in (write.before, write.after))
    if after != before and (write.operation != "change" or (before, after) not in STEPS):
        raise WrongState(f"The order is {before}.")
    yield
    if after == "received" != before:
        for line in write.session.scalars(select(OrderLine).where(OrderLine.order_id == write.row.id)):
            came = movements.body(product_id=line.product_id, quantity=line.quantity, reason=write.row.number)
            create_row(movements, write.session, write.access, came)


@order_lines.on("create", "change", "delete")
def change_drafts_only(write: Write[OrderLine]) -> None:
    """Raise ``WrongState`` unless the order is a draft. Others wait for it until the commit."""
    for content in (write.before, write.after):
        order = content and write.session.get(Order, content.order_id, with_for_update=True, populate_existing=True)
        if order and order.state != "draft":
            raise WrongState(f"The order is {order.state}.")


def order_what_runs_low(job: Job) -> None:
    """Draft an order to each supplier for its products that run low and are in no open order."""
    ordered = select(OrderLine.product_id).join(Order).where(Order.state.in_(("draft", "placed")))
    low = select(Product).where(Product.stock <= Product.reorder_level, Product.supplier_id.is_not(None))
    found = job.session.scalars(low.where(Product.id.not_in(ordered)).order_by(Product.supplier_id, Product.sku)).all()
    for supplier_id, group in groupby(found, lambda product: product.supplier_id):
        draft = orders.body(number=f"{utcnow():%Y-%m-%d} {supplier_id}", supplier_id=supplier_id)
        order = create_row(orders, job.session, job.access, draft)
        for product in group:
            line = order_lines.body(order_id=order.id, product_id=product.id, quantity=product.reorder_level + 1)
            create_row(order_lines, job.session, job.access, line)
