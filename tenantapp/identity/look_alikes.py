"""Find logins that people cannot tell apart, and those that mislead: "ada" in Cyrillic letters, or "r00t".

Unicode Technical Standard 39 (security mechanisms) has the rules, RFC 8265 (PRECIS) the characters of a user name. Both
tables are read when the first login is checked, because they take 30 ms.
"""

import hashlib
import re
import unicodedata
from functools import cache
from typing import Any, Final

from tenantapp.identity.errors import InvalidValue

# Names of whoever runs a service. Only the command line makes people with such a login. RFC 2142 has some of them.
RESERVED: Final = (
    *("admin", "administrator", "anonymous", "everyone", "guest", "local", "localhost", "nobody", "operator", "owner"),
    *("root", "service", "staff", "superuser", "sysadmin", "system", "tenantapp"),
    *("abuse", "help", "hostmaster", "info", "mail", "noreply", "postmaster", "security", "support", "webmaster"),
)
# UTS 39, section 5.2, "highly restrictive": the scripts that one word of these languages mixes.
MIXTURES: Final = (
    frozenset({"LATIN", "HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "HAN", "BOPOMOFO"}),
    frozenset({"LATIN", "HAN", "HANGUL"}),
)
PARTS: Final = re.compile(r"[@.]")
OF_ALL_SCRIPTS: Final = frozenset({"COMMON", "INHERITED"})


def skeleton_hash(login: str) -> bytes:
    """Return the SHA-256 of a login's skeleton. Logins that look alike have the same (UTS 39, section 4)."""
    return hashlib.sha256(skeleton(login).encode()).digest()


def skeleton(login: str) -> str:
    """Return what a normalized login looks like, in the characters that others are drawn like. It is never shown."""
    drawn = "".join(_prototype(character) for character in unicodedata.normalize("NFD", login))
    # Case folded again: the digit 0 is drawn like the letter O.
    return unicodedata.normalize("NFD", unicodedata.normalize("NFKC", drawn).casefold())


def check_own_login(login: str) -> None:
    """Raise ``InvalidValue`` if nobody may choose this normalized login for themselves.

    It has characters that user names do not have (RFC 8265, section 3.3), it looks like a reserved name, or one of its
    parts mixes scripts. The parts of an address of mail may be of different scripts.
    """
    if not _is_user_name(login):
        raise InvalidValue("login", "A login has letters, digits and the signs of an ASCII keyboard.")
    if is_reserved(login):
        raise InvalidValue("login", "This login is reserved, or looks like one that is.")
    for part in PARTS.split(login):
        scripts = scripts_of(part)
        if len(scripts) > 1 and not any(scripts <= mixture for mixture in MIXTURES):
            mixed = ", ".join(sorted(map(str.title, scripts)))
            raise InvalidValue("login", f"A login has letters of one script; this one mixes {mixed}.")


def is_reserved(name: str) -> bool:
    """Return whether a normalized login or a slug is a reserved name, or looks like one."""
    return skeleton(name) in _reserved()


def scripts_of(text: str) -> frozenset[str]:
    """Return the names of the scripts that a text has letters of, in upper case."""
    from confusable_homoglyphs.categories import unique_aliases

    return frozenset(unique_aliases(text)) - OF_ALL_SCRIPTS


def _is_user_name(login: str) -> bool:
    from precis_i18n import get_profile

    try:
        get_profile("UsernameCaseMapped:CaseFold").enforce(login)
    except UnicodeEncodeError:
        return False
    return True


@cache
def _reserved() -> frozenset[str]:
    return frozenset(map(skeleton, RESERVED))


def _prototype(character: str) -> str:
    """Return the character or the characters that this one is drawn like.

    The library has a list for both sides of each pair. Of two that have only each other, the first by code point is
    taken.
    """
    alike = _alike(character)
    if len(alike) != 1:
        return character  # it is like nothing, or others are drawn like it
    (other,) = alike
    return min(other, character) if len(other) == 1 and _alike(other) == [character] else other


def _alike(character: str) -> list[str]:
    from confusable_homoglyphs.confusables import confusables_data

    found: list[dict[str, Any]] = confusables_data.get(character, [])
    # Marks of direction surround what is written from right to left in the Unicode file.
    return [each["c"].strip("\u200e") for each in found]
