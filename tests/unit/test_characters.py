"""Which characters may stand in a line and in a text, by tables that no version of Python changes."""

import unicodedata
from collections.abc import Iterable

import pytest

from tenantapp.characters import check_line, check_text, clean_line, not_in_a_line, not_in_text, visible

# Of Unicode's general categories that ``isprintable`` refuses, what languages and people need.
NEEDED = (
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family, by ZERO WIDTH JOINER
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with ZERO WIDTH NON-JOINER
    "\u1780\u17d2\u179a\u200c\u1798",  # Khmer
    "\u6771\u4eac\u3000\u90fd",  # IDEOGRAPHIC SPACE
    "10\u00a0km",  # NO-BREAK SPACE
    "5\u202f000",  # NARROW NO-BREAK SPACE
    "\u200f\u05d0\u200e1\u061c",  # the marks of right-to-left text
    "co\u00adoperate",  # SOFT HYPHEN
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England, by tags
    "\ue000\U000f0000",  # private use
    "\u0378\U000323b0",  # not assigned yet
    "\ufeffx",
)
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
LINE_ENDS = ["\u2028", "\u2029"]
OVERRIDES = ["\u202d", "\u202e"]
EMBEDDINGS = ["\u202a", "\u202b", "\u202c", "\u2066", "\u2067", "\u2068", "\u2069"]
NONCHARACTERS = [chr(code) for code in range(0x110000) if code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF]
SURROGATES = ["\ud800", "\udfff"]
WHITE = ["\t", "\n", "\r"]


def refused(check: object, characters: Iterable[str]) -> list[str]:
    found = []
    for character in characters:
        try:
            check(f"a{character}b")  # type: ignore[operator]
        except ValueError as error:
            found += [character] if f"U+{ord(character):04X} " in str(error) else []
    return found


@pytest.mark.parametrize("text", NEEDED)
def test_what_languages_need_is_taken(text: str) -> None:
    assert check_text(text) == check_line(text) == text
    assert clean_line(text) == unicodedata.normalize("NFC", text)
    assert visible(text) == text


def test_a_line_has_no_control_no_end_and_no_bidirectional_formatting() -> None:
    wrong = [*CONTROLS, *LINE_ENDS, *OVERRIDES, *EMBEDDINGS, *NONCHARACTERS, *SURROGATES]
    assert refused(check_line, wrong) == wrong


def test_a_text_has_lines_and_tabs_but_no_other_control_and_no_override() -> None:
    wrong = [*(set(CONTROLS) - set(WHITE)), *OVERRIDES, *NONCHARACTERS, *SURROGATES]
    assert refused(check_text, wrong) == wrong
    assert refused(check_text, [*WHITE, *LINE_ENDS, *EMBEDDINGS]) == []


def test_nothing_else_is_refused() -> None:
    """Counted over all code points, so that a Python that knows more characters refuses the same."""
    controls, noncharacters, surrogates = 65, 66, 2048
    for table, others in ((not_in_text(), 2 - len(WHITE)), (not_in_a_line(), 2 + 9)):
        assert len(table.findall("".join(map(chr, range(0x110000))))) == controls + noncharacters + surrogates + others


@pytest.mark.parametrize(
    "text", ["", " ", "\u3000\u00a0", "\u200b", "\ufeff", " \u200d \ufe0f", "\u3164", "\U000e0020"]
)
def test_a_line_shows_something(text: str) -> None:
    with pytest.raises(ValueError, match="no visible character"):
        clean_line(text)


def test_a_terminal_gets_escapes() -> None:
    assert visible("a\x1b[31m\tb\u202e\u2028\udcff") == "a\\x1b[31m\\tb\\u202e\\u2028\\udcff"
