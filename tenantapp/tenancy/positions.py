"""Positions in a server's write-ahead log, as clients keep them: signed, and bound to what they were told for.

A client that sends its position back reads nothing older than what was there when it was told. The text has the place
in the log. The signature also covers the person, the tenant, its database, the epoch of its content, and the cluster
and timeline of the server, which the text does not repeat: with anything else it is no position. So nobody reads what
was there before a restore, a migration or a failover because of a position from that time.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from typing import Final, NamedTuple
from uuid import UUID

from tenantapp.tenancy.access import TenantPlace

LSN_BYTES: Final = 8
SIGNATURE_BYTES: Final = 16
TEXT: Final = re.compile(r"[A-Za-z0-9_-]{32}")
MOST_SENT: Final = 20  # positions with one request
MOST_KEPT: Final = 8  # positions in a cookie: the tenants in which a browser was last at work
TAG_LENGTH: Final = 8  # characters before each of them, by which its tenant is found


class Log(NamedTuple):
    """The write-ahead log of a server: its cluster, and the timeline that a promotion changes."""

    cluster: int
    timeline: int


class LogPosition(NamedTuple):
    """A place in a log, in bytes (PostgreSQL: LSN)."""

    log: Log
    lsn: int


def parse_lsn(text: str) -> int:
    """Return the bytes of an LSN as PostgreSQL writes it: ``16/B374D848``."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


class Positions:
    """Signs positions, and reads what clients send. ``secret`` is the setting ``tenancy.secret``."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"positions", hashlib.sha256)

    def told(self, position: LogPosition, person_id: UUID, place: TenantPlace) -> str:
        """Return a position as this person keeps it for this tenant."""
        lsn = position.lsn.to_bytes(LSN_BYTES)
        return urlsafe_b64encode(lsn + self._signature(lsn, position.log, person_id, place)).decode()

    def newest(self, texts: Iterable[str], log: Log, person_id: UUID, place: TenantPlace) -> int | None:
        """Return the newest of these positions, in bytes. Return None if there is none, or if one is not valid."""
        texts = list(texts)
        if len(texts) > MOST_SENT:
            return None
        found = [self._read(text, log, person_id, place) for text in texts]
        known = [lsn for lsn in found if lsn is not None]
        return max(known) if known and len(known) == len(found) else None

    def _read(self, text: str, log: Log, person_id: UUID, place: TenantPlace) -> int | None:
        if not TEXT.fullmatch(text):
            return None
        given = urlsafe_b64decode(text)
        lsn, signature = given[:LSN_BYTES], given[LSN_BYTES:]
        expected = self._signature(lsn, log, person_id, place)
        return int.from_bytes(lsn) if hmac.compare_digest(signature, expected) else None

    def _signature(self, lsn: bytes, log: Log, person_id: UUID, place: TenantPlace) -> bytes:
        bound = (*log, person_id.hex, place.id.hex, place.server, place.database, place.epoch, lsn.hex())
        return hmac.digest(self._key, "\n".join(map(str, bound)).encode(), hashlib.sha256)[:SIGNATURE_BYTES]


class KeptPositions:
    """What the cookie of a browser has: a position for each of the tenants that it was last at work in.

    ``text`` is the value of the cookie. Nothing of it is believed before ``Positions.newest`` has read it.
    """

    def __init__(self, text: str) -> None:
        entries = (entry for entry in text.split(".") if len(entry) > TAG_LENGTH)
        self._kept = {entry[:TAG_LENGTH]: entry[TAG_LENGTH:] for entry in entries}

    def of(self, tenant_id: UUID) -> list[str]:
        """Return the position for a tenant, or nothing."""
        kept = self._kept.get(_tag(tenant_id))
        return [] if kept is None else [kept]

    def with_position(self, tenant_id: UUID, position: str | None) -> str:
        """Return the value of the cookie with this position of a tenant, or without any of it."""
        tag = _tag(tenant_id)
        others = {each: kept for each, kept in self._kept.items() if each != tag and TEXT.fullmatch(kept)}
        kept = others if position is None else {tag: position, **others}
        return ".".join(f"{each}{text}" for each, text in list(kept.items())[:MOST_KEPT])


def _tag(tenant_id: UUID) -> str:
    # The last bytes of an id are random.
    return urlsafe_b64encode(tenant_id.bytes[-6:]).decode()
