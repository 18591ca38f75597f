"""What people, groups and tenants may be called."""

import re
import unicodedata
from typing import Final

from tenantapp.characters import IGNORABLE, check_line, clean_line
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import LOGIN_LENGTH, NAME_LENGTH, REASON_LENGTH

LOCAL: Final = "local:"  # and the name of who works on this machine without having signed in
# A label of RFC 1123: fits a host name, a path and a file name.
SLUG: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def normalize_login(login: str) -> str:
    """Return the form a login is stored and looked up in: NFKC, case folded. Raise ``InvalidValue``.

    Refuses what no login can be, and no more: a login that was given stays good when the rules for new ones change.
    """
    normal = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", login).casefold())
    try:
        return check_line(normal)
    except ValueError as error:
        raise InvalidValue("login", str(error)) from None


def check_login(login: str) -> str:
    """Return the stored form of a login that is to be given to somebody. Raise ``InvalidValue``.

    A login is 1 to 254 characters that can be seen; an ``@`` in front means a group on the command line, and ``local:``
    in the audit trail somebody on this machine, so none begins so.
    """
    normal = normalize_login(login)
    seen = not IGNORABLE.search(normal) and not any(map(str.isspace, normal))
    if not 1 <= len(normal) <= LOGIN_LENGTH or not seen or normal.startswith(("@", LOCAL)):
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
    try:
        clean, fault = clean_line(text), ""
    except ValueError as error:
        clean, fault = "", f" {error}"
    if not 1 <= len(clean) <= length:
        raise InvalidValue(field, f"{what} is one line of 1 to {length} characters.{fault}")
    return clean


def check_slug(slug: str) -> str:
    """The slug itself. Raises ``InvalidValue``."""
    if not SLUG.fullmatch(slug):
        raise InvalidValue(
            "slug", "A slug is 1 to 63 lower-case letters, digits and hyphens, and has no hyphen at either end."
        )
    return slug
