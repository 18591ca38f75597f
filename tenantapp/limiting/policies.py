"""The limits of the settings, and how they are told (draft-ietf-httpapi-ratelimit-headers-11)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tenantapp.setting_types import Rate
from tenantapp.settings import Settings

# Whose requests are counted together, and the words of a sentence for who has sent them.
ADDRESS: Final = "address"
PERSON: Final = "person"
TOKEN: Final = "token"  # noqa: S105
TENANT: Final = "tenant"
SENT: Final = {
    ADDRESS: "came from your address",
    PERSON: "were yours",
    TOKEN: "had this token",
    TENANT: "were the tenant's",
}


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A limit: at most so many requests in so many seconds. ``name`` is its name in the headers."""

    kind: str
    name: str
    most: int
    seconds: int


Standing = tuple[Policy, int, int]
"""A limit, what is left of it, and for how many seconds that is all."""


def policies_of(settings: Settings) -> Mapping[str, tuple[Policy, ...]]:
    """Return the limits of the settings, by what is limited. What is not limited is not there."""
    rates = {
        ADDRESS: settings.limits_address,
        PERSON: settings.limits_person,
        TOKEN: settings.limits_token,
        TENANT: settings.limits_tenant,
    }
    return {kind: tuple(_policies(kind, of_kind)) for kind, of_kind in rates.items() if of_kind}


def _policies(kind: str, rates: Sequence[Rate]) -> Iterator[Policy]:
    for rate in rates:
        yield Policy(kind, kind if len(rates) == 1 else f"{kind}-{rate.seconds}", rate.most, rate.seconds)


def rate_limit(standings: Iterable[Standing]) -> str:
    """Return the value of the header ``RateLimit``."""
    return ", ".join([f'"{policy.name}";r={left};t={seconds}' for policy, left, seconds in standings])


@lru_cache(maxsize=64)
def rate_limit_policy(*policies: Policy) -> str:
    """Return the value of the header ``RateLimit-Policy``."""
    return ", ".join(f'"{policy.name}";q={policy.most};w={policy.seconds}' for policy in policies)
