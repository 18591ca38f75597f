"""In which order the tenants are asked."""

import random
from typing import Final, Literal

OrderName = Literal["in turn", "Zipf"]
ORDERS: Final[tuple[OrderName, ...]] = ("in turn", "Zipf")
EXPONENT: Final = 1.1
STEPS: Final = 20_000


def order_of(name: OrderName, count: int) -> list[int]:
    """The indices of tenants, to be taken one after the other and over and over.

    Zipf: the tenant of rank r is asked in proportion to 1 / r ** 1.1; which tenant has which rank is chance, the same
    one every time.
    """
    if name == "in turn":
        return list(range(count))
    chance = random.Random(count)
    tenants = list(range(count))
    chance.shuffle(tenants)
    weights = [1 / rank**EXPONENT for rank in range(1, count + 1)]
    return chance.choices(tenants, weights, k=STEPS)
