"""What people, groups and tenants may be called."""

import re
import unicodedata
from typing import Final

from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import LOGIN_LENGTH, NAME_LENGTH, REASON_LENGTH

LOCAL: Final = "local:"  # and the name of who works on this machine without having signed in
# A label of RFC 1123: fits a host name, a path and a file name.
SLUG: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def normalize_login(login: str) -> str:
    """The form a login is stored and looked up in: NFKC, case folded. Raises ``InvalidValue``.

    A login is 1 to 254 visible characters; an ``@`` in front means a group on the command line, and ``local:`` in the
    audit trail somebody on this machine, so none begins so.
    """
    normal = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", login).casefold())
    visible = normal.isprintable() and " " not in normal
    if not 1 <= len(normal) <= LOGIN_LENGTH or not visible or normal.startswith(("@", LOCAL)):
        raise InvalidValue(
            "login", f"A login is 1 to {LOGIN_LENGTH} visible characters and does not begin with @ or {LOCAL}"
        )
    return normal


def clean_name(name: str) -> str:
    """A name without the space around it, in NFC. Raises ``InvalidValue``."""
    return _line("name", "A name", name, NAME_LENGTH)


def clean_group_name(name: str) -> str:
    """The same for a group; an ``@`` in front says that a group is meant, and is not part of it."""
    if name.startswith("@"):
        raise InvalidValue("name", "A group's name does not begin with @.")
    return clean_name(name)


def clean_reason(reason: str) -> str:
    """A reason, shown to people: one line. Raises ``InvalidValue``."""
    return _line("reason", "A reason", reason, REASON_LENGTH)


def _line(field: str, what: str, text: str, length: int) -> str:
    clean = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(clean) <= length or not clean.isprintable():
        raise InvalidValue(field, f"{what} is 1 to {length} printable characters.")
    return clean


def check_slug(slug: str) -> str:
    """The slug itself. Raises ``InvalidValue``."""
    if not SLUG.fullmatch(slug):
        raise InvalidValue(
            "slug", "A slug is 1 to 63 lower-case letters, digits and hyphens, and has no hyphen at either end."
        )
    return slug
