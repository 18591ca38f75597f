"""Secrets that people copy by eye: recovery codes and initial passwords."""

import secrets
from base64 import b32encode
from typing import Final

SIZE: Final = 15  # bytes
GROUP: Final = 6  # characters between two hyphens


def readable_secret() -> str:
    """Return 120 random bits as letters and digits in four groups: ``mfrgg3-dfmzt7-...``.

    With 112 bits and more, a fast hash without salt is enough (OWASP ASVS 5.0, 6.5.2).
    """
    code = b32encode(secrets.token_bytes(SIZE)).decode().lower()
    return "-".join(code[at : at + GROUP] for at in range(0, len(code), GROUP))
