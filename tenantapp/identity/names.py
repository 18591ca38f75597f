"""Check the names of people, groups and tenants."""

import re
import unicodedata
from typing import Final

from tenantapp.characters import check_line, clean_line, ignorable
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import LOGIN_LENGTH, NAME_LENGTH, REASON_LENGTH

PERMISSION_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,48}\.[a-z][a-z0-9_]{0,48}")
# Roles and permissions are read from one text, in which colons and spaces separate them.
ROLE_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,49}")
LOCAL: Final = "local:"  # before the name of a user of this machine who has not signed in
FORGOTTEN: Final = "forgotten:"  # before the id of a person, in place of what was erased of them
# A label of RFC 1123. It can be part of a host name, a path and a file name.
SLUG: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def normalize_login(login: str) -> str:
    """Return the form in which a login is stored and found: NFKC, case folded.

    Raises ``InvalidValue`` for characters that no login may have. Further rules for new logins are in ``check_login``,
    so an existing login still works when these rules change.
    """
    normal = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", login).casefold())
    try:
        return check_line(normal)
    except ValueError as error:
        raise InvalidValue("login", str(error)) from None


def check_login(login: str) -> str:
    """Return the stored form of a new login. Raises ``InvalidValue``.

    A login has 1 to 254 visible characters. It does not begin with ``@``, which marks a group on the command line. Nor
    does it begin with ``local:`` or ``forgotten:``, which mark in the audit trail who is no person with an account.
    """
    normal = normalize_login(login)
    seen = not ignorable().search(normal) and not any(map(str.isspace, normal))
    if not 1 <= len(normal) <= LOGIN_LENGTH or not seen or normal.startswith(("@", LOCAL, FORGOTTEN)):
        reserved = f"@, {LOCAL} or {FORGOTTEN}"
        raise InvalidValue(
            "login", f"A login has 1 to {LOGIN_LENGTH} visible characters and does not begin with {reserved}"
        )
    return normal


def clean_name(name: str) -> str:
    """Return a name in NFC, without white space at its ends. Raises ``InvalidValue``."""
    return _line("name", "A name", name, NAME_LENGTH)


def clean_group_name(name: str) -> str:
    """Return a group's name in NFC, without white space at its ends. Raises ``InvalidValue``.

    The ``@`` that marks a group on the command line is not part of the name.
    """
    if name.startswith("@"):
        raise InvalidValue("name", "A group's name does not begin with @.")
    return clean_name(name)


def clean_reason(reason: str) -> str:
    """Return a reason, which is one line and is shown to people. Raises ``InvalidValue``."""
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
    """Return the slug unchanged. Raises ``InvalidValue``."""
    if not SLUG.fullmatch(slug):
        raise InvalidValue(
            "slug", "A slug is 1 to 63 lower-case letters, digits and hyphens, and has no hyphen at either end."
        )
    return slug
