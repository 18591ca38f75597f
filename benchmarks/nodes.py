"""The nodes everybody serves: the same ones for every contender, 1000 in each tenant, about 250 bytes of JSON each."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

COUNT: Final = 1000
PAGE: Final = 50
TENANTS: Final = ("acme", "globex")
_FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
_WORDS: Final = ("invoice", "letter", "meeting", "plan", "offer", "note", "order", "report", "list", "draft", "idea")


def title_of(tenant: str, number: int) -> str:
    """What the answer is known by: whose node it is, and which."""
    return f"{tenant} node {number:04}"


def nodes_of(tenant: str) -> list[dict[str, Any]]:
    """A tenant's nodes in the order of their keys, as JSON values."""
    chance = random.Random(tenant)
    return [_node(tenant, number, chance) for number in range(COUNT)]


def _node(tenant: str, number: int, chance: random.Random) -> dict[str, Any]:
    made = _FIRST + timedelta(seconds=number)
    return {
        "id": str(key_at(made, chance)),
        "title": title_of(tenant, number),
        "body": " ".join(chance.choices(_WORDS, k=7)),
        "status": chance.choice(("draft", "published", "archived")),
        "version": 1,
        "created_at": made.isoformat(),
        "updated_at": (made + timedelta(hours=1)).isoformat(),
    }


def key_at(made: datetime, chance: random.Random) -> UUID:
    """A UUID version 7 (RFC 9562, section 5.7): keys sort by the time they were made."""
    value = int(made.timestamp() * 1000) << 80 | chance.getrandbits(80)
    return UUID(int=value & ~(0xF << 76) & ~(0b11 << 62) | 0x7 << 76 | 0b10 << 62)
