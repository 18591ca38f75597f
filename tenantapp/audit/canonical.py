"""What the hash of an entry covers.

Erasing a person must not break the chain. So the hash does not cover the texts that may name somebody: it covers a
salted digest of each of these parts: the actor, the address, and each value of the detail. Without its salt a digest
says nothing, and stays in place of a part that was erased.

All bytes that are hashed are JSON in ASCII with sorted keys and without spaces, so that other programs can verify the
trail too. docs/audit.md has the format.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, Protocol
from uuid import UUID

# Never erased. The position is none of the content: it follows from the order of the chain.
FIXED: Final = ("id", "at", "actor_id", "action", "tenant_id", "slug", "request_id")
BEGINNING: Final = bytes(32)  # stands in for the hash of the entry before the first
SALT_BYTES: Final = 16
DETAIL: Final = "detail."

_dump = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class Entry(Protocol):
    """An ``AuditEntry``, or a row with the same names."""

    id: UUID
    at: datetime
    actor_id: UUID | None
    actor: str
    action: str
    tenant_id: UUID | None
    slug: str | None
    detail: dict[str, Any]
    request_id: str | None
    address: str | None


def canonical(value: Any) -> bytes:
    """Return JSON as the bytes that are hashed or signed."""
    return _dump(value).encode("ascii")


def time_text(at: datetime) -> str:
    """Return a time as text: in UTC, with microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def plain(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON with texts for ids and times. This form is hashed, exported and streamed."""
    return {
        "id": str(entry.id),
        "at": time_text(entry.at),
        "actor_id": None if entry.actor_id is None else str(entry.actor_id),
        "actor": entry.actor,
        "action": entry.action,
        "tenant_id": None if entry.tenant_id is None else str(entry.tenant_id),
        "slug": entry.slug,
        "detail": entry.detail,
        "request_id": entry.request_id,
        "address": entry.address,
    }


def new_salt() -> bytes:
    """Return a new salt for an entry."""
    return secrets.token_bytes(SALT_BYTES)


def parts_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a plain entry that may name somebody, by name."""
    detail = {f"{DETAIL}{key}": value for key, value in entry["detail"].items()}
    return {"actor": entry["actor"], "address": entry["address"], **detail}


def part_salt(salt: bytes, name: str) -> bytes:
    """Return the salt of a part. That of one part tells nothing of that of another."""
    return sha256(salt + name.encode()).digest()


def part_digest(salt: bytes, value: Any) -> str:
    """Return the digest of a part under the salt of the part, in hexadecimal digits."""
    return sha256(salt + canonical(value)).hexdigest()


def digests_of(entry: Mapping[str, Any], salt: bytes | None, erased: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the digests of all parts of a plain entry.

    Either ``salt`` is given, or ``erased`` with the ``salts`` of the parts that are left and the ``digests`` of those
    that are not. Raises ``KeyError`` if a part has neither.
    """
    parts = parts_of(entry)
    if erased is None:
        if salt is None:
            raise KeyError("salt")
        return {name: part_digest(part_salt(salt, name), value) for name, value in parts.items()}
    left = {name: part_digest(bytes.fromhex(kept), parts[name]) for name, kept in erased["salts"].items()}
    digests = {**left, **erased["digests"]}
    if unknown := parts.keys() - digests.keys():
        raise KeyError(*unknown)
    return digests


def hash_of(previous: bytes, entry: Mapping[str, Any], digests: Mapping[str, str]) -> bytes:
    """Return the hash of a plain entry that follows the one with the hash ``previous``."""
    fixed = {name: entry[name] for name in FIXED}
    return sha256(previous + canonical({**fixed, "parts": digests})).digest()


def erase(
    entry: Mapping[str, Any], salt: bytes, erased: Mapping[str, Any] | None, names: Iterable[str]
) -> dict[str, Any]:
    """Return what takes the place of the salt when the parts of these names are erased from a sealed entry."""
    parts = parts_of(entry)
    if erased is None:
        erased = {"salts": {name: part_salt(salt, name).hex() for name in parts}, "digests": {}}
    salts = erased["salts"]
    gone = {name: part_digest(bytes.fromhex(salts[name]), parts[name]) for name in names if name in salts}
    return {
        "salts": {name: kept for name, kept in salts.items() if name not in gone},
        "digests": {**erased["digests"], **gone},
    }
