"""An authenticator in software: it makes passkeys and signs with them as WebAuthn Level 3 says."""

import hashlib
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

ORIGIN = "http://localhost"  # of the pages of the tests
AAGUID = bytes(range(16))
PRESENT, VERIFIED, HAS_KEY = 0x01, 0x04, 0x40  # flags of the authenticator data (section 6.1)


@dataclass
class SoftAuthenticator:
    """Keeps passkeys, each with its private key, the handle of its person and the number of its signatures.

    ``verifies`` says whether it asks for a PIN or a finger. ``origin`` is that of the page which it is asked by.
    """

    verifies: bool = True
    origin: str = ORIGIN
    keys: dict[bytes, tuple[ec.EllipticCurvePrivateKey, str]] = field(default_factory=dict)
    signatures: int = 0

    def create(self, options: Any) -> dict[str, Any]:
        """What ``navigator.credentials.create`` returns, as JSON, with an attestation by the key itself ("packed")."""
        assert any(each["alg"] == -7 for each in options["pubKeyCredParams"])
        key, credential_id = ec.generate_private_key(ec.SECP256R1()), os.urandom(32)
        assert not {each["id"] for each in options["excludeCredentials"]} & {encoded(each) for each in self.keys}
        self.keys[credential_id] = key, options["user"]["id"]
        numbers = key.public_key().public_numbers()
        point = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = AAGUID + len(credential_id).to_bytes(2, "big") + credential_id + cbor2.dumps(point)
        data = self._data(options["rp"]["id"], HAS_KEY) + attested
        client = self._client("webauthn.create", options)
        statement = {"alg": -7, "sig": signed(key, data, client)}
        attestation = cbor2.dumps({"fmt": "packed", "attStmt": statement, "authData": data})
        return credential(credential_id, clientDataJSON=client, attestationObject=attestation)

    def get(self, options: Any) -> dict[str, Any]:
        """What ``navigator.credentials.get`` returns, as JSON: of an allowed passkey, or of any."""
        allowed = [decoded(each["id"]) for each in options.get("allowCredentials", [])] or list(self.keys)
        credential_id = next(each for each in allowed if each in self.keys)
        key, handle = self.keys[credential_id]
        data, client = self._data(options["rpId"], 0), self._client("webauthn.get", options)
        answer = credential(
            credential_id, clientDataJSON=client, authenticatorData=data, signature=signed(key, data, client)
        )
        answer["response"]["userHandle"] = handle
        return answer

    def _data(self, rp_id: str, flags: int) -> bytes:
        self.signatures += 1
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.signatures.to_bytes(4, "big")

    def _client(self, type_: str, options: Any) -> bytes:
        return json.dumps({"type": type_, "challenge": options["challenge"], "origin": self.origin}).encode()


def signed(key: ec.EllipticCurvePrivateKey, data: bytes, client: bytes) -> bytes:
    return key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))


def credential(credential_id: bytes, **response: bytes) -> dict[str, Any]:
    return {
        "id": encoded(credential_id),
        "rawId": encoded(credential_id),
        "type": "public-key",
        "clientExtensionResults": {},
        "response": {name: encoded(value) for name, value in response.items()},
    }


def encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


def decoded(value: str) -> bytes:
    return urlsafe_b64decode(value + "=" * (-len(value) % 4))
