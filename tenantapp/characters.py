"""Check the characters of user input against fixed tables, which are the same on every version of Python.

``str.isprintable`` uses the Unicode data of the running Python, so a new emoji is "printable" on one version and not on
another. It also refuses characters that languages need: ZWNJ (Persian, Khmer), ZWJ (emoji), NBSP, the ideographic space
U+3000.

A text may have the characters of RFC 9839, section 4.3 ("Unicode Assignables"): no surrogates, no noncharacters, and no
controls (C0, DEL, C1) except tab, line feed and carriage return. Of the explicit formatting characters of UAX 9,
section 2, a text may not have the two overrides. They show characters in another order than they have in the text
(CVE-2021-42574, "Trojan Source"). A text may have embeddings and isolates, which end at the end of their paragraph
(UAX 9, X8).

A line is shown beside other words: on a page, in a table, in a terminal. So it may have none of the nine explicit
formatting characters, which would affect the words beside it, and no character that ends a line. A text and a line may
have the marks U+200E, U+200F and U+061C, which right-to-left text needs, and tags (U+E0020 and up), which the flags of
England, Scotland and Wales need.
"""

import re
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Final

Ranges = Sequence[tuple[int, int]]  # first and last code point

_NONCHARACTERS: Final[Ranges] = (
    (0xFDD0, 0xFDEF),
    *((plane * 0x10000 + 0xFFFE, plane * 0x10000 + 0xFFFF) for plane in range(17)),
)
# The complement of RFC 9839, section 4.3.
_UNASSIGNABLE: Final[Ranges] = (
    (0x0000, 0x0008),
    (0x000B, 0x000C),
    (0x000E, 0x001F),
    (0x007F, 0x009F),
    (0xD800, 0xDFFF),
    *_NONCHARACTERS,
)
_OVERRIDES: Final[Ranges] = ((0x202D, 0x202E),)  # LRO, RLO
_FORMATTING: Final[Ranges] = ((0x202A, 0x202E), (0x2066, 0x2069))  # LRE, RLE, PDF, LRO, RLO; LRI, RLI, FSI, PDI
_LINE_ENDS: Final[Ranges] = ((0x0009, 0x000A), (0x000D, 0x000D), (0x2028, 0x2029))  # and the tab; NEL is in C1
# UAX 44, Default_Ignorable_Code_Point of Unicode 17: these characters are invisible by themselves.
_IGNORABLE: Final[Ranges] = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)


def _any_of(*tables: Ranges) -> re.Pattern[str]:
    """Return a pattern for one character of these tables, written as a negated set: ``re`` finds it 30 times faster."""
    others, start = "", 0
    for first, last in sorted(each for table in tables for each in table):
        others += _range(start, first - 1)
        start = max(start, last + 1)
    return re.compile(f"[^{others}{_range(start, sys.maxunicode)}]")


def _range(first: int, last: int) -> str:
    return f"\\U{first:08x}-\\U{last:08x}" if first <= last else ""


# Compiled when they are first needed: that takes 6 ms each, and many commands need none.


@cache
def not_in_text() -> re.Pattern[str]:
    """Return the pattern of a character that no text may have."""
    return _any_of(_UNASSIGNABLE, _OVERRIDES)


@cache
def not_in_a_line() -> re.Pattern[str]:
    """Return the pattern of a character that a line may not have."""
    return _any_of(_UNASSIGNABLE, _FORMATTING, _LINE_ENDS)


@cache
def ignorable() -> re.Pattern[str]:
    """Return the pattern of a character that shows nothing by itself."""
    return _any_of(_IGNORABLE)


def check_text(text: str) -> str:
    """Return the text unchanged. Raises ``ValueError`` if it has a character that no text may have."""
    return _without(not_in_text(), text, "a text")


def check_line(text: str) -> str:
    """Return the line unchanged. Raises ``ValueError`` if it has a character that no line may have."""
    return _without(not_in_a_line(), text, "a line of text")


def clean_line(text: str) -> str:
    """Return a line in NFC, without white space at its ends.

    Raises ``ValueError`` if it has a character that no line may have, or no visible character.
    """
    return check_visible(check_line(unicodedata.normalize("NFC", text).strip()), "The line")


def check_visible(text: str, what: str = "The text") -> str:
    """Return the text unchanged. Raises ``ValueError``, a sentence on ``what``, if it has no visible character."""
    if not ignorable().sub("", text).strip():
        raise ValueError(f"{what} has no visible character.")
    return text


def visible(text: str) -> str:
    """Return the text for a table or a terminal. Characters that no line may have become escapes such as ``\\x1b``."""
    if text.isascii() and text.isprintable():
        return text
    return not_in_a_line().sub(lambda found: _escape(found[0]), text)


def _without(refused: re.Pattern[str], text: str, what: str) -> str:
    if found := refused.search(text):
        raise ValueError(f"The character U+{ord(found[0]):04X} is not allowed in {what}.")
    return text


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
