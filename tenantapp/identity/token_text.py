"""Make API tokens, and recognise them.

A token is ``tapp_``, 43 random letters and digits, which are 256 bits, and a checksum of six. The prefix is for the
programs that search source code for secrets. The checksum tells a token from other text without asking a database.
https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
"""

import re
import secrets
import string
from typing import Final
from zlib import crc32

PREFIX: Final = "tapp_"
ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LENGTH: Final = 43  # characters; 62 ** 43 > 2 ** 256
TOKEN: Final = re.compile(rf"{PREFIX}(?P<random>[0-9A-Za-z]{{{RANDOM_LENGTH}}})(?P<checksum>[0-9A-Za-z]{{6}})")
FORM: Final = rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_LENGTH + 6}}}"
"""The same as a regular expression for others."""


def new_token() -> str:
    """Return a new API token."""
    random = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return f"{PREFIX}{random}{checksum(random)}"


def is_token(text: str) -> bool:
    """Return whether the text has the form of an API token, and its checksum."""
    match = TOKEN.fullmatch(text)
    return match is not None and checksum(match["random"]) == match["checksum"]


def checksum(random: str) -> str:
    """Return the CRC-32 of the random part in base 62, in six digits, the most significant one first."""
    number, digits = crc32(random.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
