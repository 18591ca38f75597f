"""Sign where a chain ends, and where it begins after a sweep.

The key is derived from ``tenancy.secret``, which the database does not have. So who can only write to the database can
make a chain of their own, and cannot sign it. It is an Ed25519 key and no secret that is shared (HMAC): an auditor gets
the public key, and neither ``tenancy.secret`` nor anything to sign with.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tenantapp.audit.canonical import canonical, time_text
from tenantapp.audit.models import AuditChain
from tenantapp.settings import Settings

PURPOSE: Final = b"tenantapp audit checkpoints 1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One end of a chain: after the entry at this position, which has this hash, at this time.

    The end of a chain whose beginning the chain of no tenant has is signed as ``recorded``, not as ``head``. So who
    removes the beginnings cannot pretend that none was recorded yet.
    """

    chain: UUID
    end: Literal["head", "recorded", "swept"]
    position: int
    hash: bytes
    at: datetime

    def message(self) -> bytes:
        """Return what is signed."""
        return canonical(
            {
                "chain": str(self.chain),
                "end": self.end,
                "position": self.position,
                "hash": self.hash.hex(),
                "at": time_text(self.at),
            }
        )


class SigningKey:
    """Signs checkpoints. ``public`` is the public key, 32 bytes.

    ``trusted`` has it too, and that of the former secret while ``tenancy.secret`` is being replaced.
    """

    def __init__(self, secret: str, former: str | None = None) -> None:
        self._key = _derived(secret)
        self.public: bytes = self._key.public_key().public_bytes_raw()
        before = () if former is None else (_derived(former).public_key().public_bytes_raw(),)
        self.trusted = (self.public, *before)

    def sign(self, checkpoint: Checkpoint) -> bytes:
        """Return the signature of a checkpoint, 64 bytes."""
        return self._key.sign(checkpoint.message())


def signing_key(settings: Settings) -> SigningKey | None:
    """Return the key of an installation. Without ``tenancy.secret`` there are no signatures."""
    secret = settings.tenancy_secret
    return None if secret is None else SigningKey(secret, settings.tenancy_former_secret)


def _derived(secret: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hmac.digest(secret.encode(), PURPOSE, "sha256"))


def is_signed(checkpoint: Checkpoint, key: bytes | None, signature: bytes | None, trusted: Iterable[bytes]) -> bool:
    """Return whether a checkpoint has a valid signature by one of the trusted public keys."""
    if key is None or signature is None or key not in trusted:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, checkpoint.message())
    except InvalidSignature:
        return False
    return True


def head_of(chain: AuditChain, *, recorded: bool) -> Checkpoint:
    """Return where a chain ends. ``recorded`` says whether its beginning is recorded."""
    return Checkpoint(chain.chain, "recorded" if recorded else "head", chain.position, chain.hash, chain.at)


def swept_of(chain: AuditChain) -> Checkpoint:
    """Return where a chain begins: after the entries that were deleted."""
    return Checkpoint(chain.chain, "swept", chain.swept_position, chain.swept_hash, chain.swept_at)


def sign_head(chain: AuditChain, key: SigningKey | None, *, recorded: bool = True) -> None:
    """Sign where a chain ends now."""
    chain.key, chain.signature = _signed(head_of(chain, recorded=recorded), key)


def sign_swept(chain: AuditChain, key: SigningKey | None) -> None:
    """Sign where a chain begins now."""
    chain.swept_key, chain.swept_signature = _signed(swept_of(chain), key)


def is_head_signed(chain: AuditChain, key: SigningKey | None) -> bool:
    """Return whether the end of a chain is signed by a key that this one trusts. Without a key, nothing is signed."""
    return key is None or is_recorded(chain, key.trusted) or _is_head(chain, key.trusted, recorded=False)


def is_recorded(chain: AuditChain, trusted: Iterable[bytes]) -> bool:
    """Return whether the end of a chain is signed by a trusted key, and its beginning was recorded before."""
    return _is_head(chain, trusted, recorded=True)


def _is_head(chain: AuditChain, trusted: Iterable[bytes], *, recorded: bool) -> bool:
    return is_signed(head_of(chain, recorded=recorded), chain.key, chain.signature, trusted)


def _signed(checkpoint: Checkpoint, key: SigningKey | None) -> tuple[bytes | None, bytes | None]:
    return (None, None) if key is None else (key.public, key.sign(checkpoint))
