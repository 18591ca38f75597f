"""Check addresses of email, and write their domains as the DNS has them.

An address is ``local@domain`` (RFC 5321, section 4.1.2), without quotes, comments and address literals. Its local
part may have characters beyond ASCII (RFC 6531). A domain beyond ASCII is written in its ASCII form (IDNA).
"""

import re
import unicodedata
from typing import Final, NamedTuple

from tenantapp.characters import check_line, clean_line

LONGEST: Final = 254  # octets of an address (RFC 5321, section 4.5.3.1.3: a path, without its brackets)
LONGEST_LOCAL: Final = 64  # octets (section 4.5.3.1.1)
LONGEST_NAME: Final = 200  # characters
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]+"
_LOCAL: Final = re.compile(rf"{_ATOM}(\.{_ATOM})*")
_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
# IDNA 2003, which Python has, maps these characters to others. IDNA 2008 keeps them: that is another domain.
_DEVIATIONS: Final = re.compile("[\u00df\u1e9e\u03c2\u200c\u200d]")
_NAMED: Final = re.compile(r'"?([^"<>]*?)"?\s*<([^<>]*)>')


class Mailbox(NamedTuple):
    """The name of somebody, perhaps empty, and a checked address."""

    name: str
    address: str


def clean_address(text: str) -> str:
    """Return a checked address, with its domain in lower case and in ASCII.

    Raises ``ValueError`` with a sentence if it is no address.
    """
    local, at, domain = unicodedata.normalize("NFC", text).rpartition("@")
    if not at or not _LOCAL.fullmatch(local):
        raise ValueError("An email address is like ann@example.com.")
    address = f"{check_line(local)}@{clean_domain(domain)}"
    if len(local.encode()) > LONGEST_LOCAL or len(address.encode()) > LONGEST:
        raise ValueError(f"An email address has at most {LONGEST} bytes, and {LONGEST_LOCAL} before the @.")
    return address


def clean_domain(domain: str) -> str:
    """Return the domain of an address as the DNS has it: in lower case and in ASCII. Raises ``ValueError``."""
    if _DEVIATIONS.search(domain):
        raise ValueError("The domain of this email address is ambiguous. Write it in its ASCII form, xn--...")
    try:
        found = domain.lower() if domain.isascii() else domain.encode("idna").decode().lower()
    except UnicodeError:
        found = ""
    if not _DOMAIN.fullmatch(found):
        raise ValueError("The domain of an email address is like example.com.")
    return found


def clean_mailbox(name: str, address: str) -> Mailbox:
    """Return a name and an address. The name may be empty. Raises ``ValueError`` with a sentence."""
    name = clean_line(name) if name else ""
    if len(name) > LONGEST_NAME:
        raise ValueError(f"The name of a recipient has at most {LONGEST_NAME} characters.")
    return Mailbox(name, clean_address(address))


def read_mailbox(text: str) -> Mailbox:
    """Return the name and address of ``Name <name@example.com>`` or ``name@example.com``. Raises ``ValueError``."""
    named = _NAMED.fullmatch(text)
    return clean_mailbox(*named.groups()) if named else clean_mailbox("", text)
