"""Search texts by words, with the same result on both engines.

PostgreSQL's parser and SQLite's tokenizers split and fold text differently, and not every server has ``unaccent``. So
our own code does both, for the stored text and for the query: case, accents and compatibility forms are folded, the
text is split into words, and each word is written in a form that both engines take as one: ``[a-z0-9]`` only. The words
of a row are one text, separated by spaces. Its index is a GIN index on PostgreSQL, and an FTS5 table on SQLite that
triggers keep in step with the table of the words.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

MOST_CHARACTERS: Final = 500_000  # of a text that are looked at
MOST_FOLDED: Final = 350_000  # characters of what it is folded to; some fold to eighteen
PART: Final = 20_000  # characters that are folded at once: no other thread runs meanwhile
MOST_STORED: Final = 1_000_000  # characters of a row's words, were all encoded; a tsvector has at most 2 ** 20
ENCODED_LENGTH: Final = 5  # characters of an encoded letter, at most
LONGEST_WORD: Final = 40  # characters that count
MOST_WORDS: Final = 16  # of a query
MOST_MARKS: Final = 16  # combining marks in a row that count
NO_MATCH: Final = {"postgresql": "", "sqlite": '""'}
# Letters of Latin that are no letter with a mark to Unicode, and what they are written as without their stroke or as
# two letters. From the transform Latin-ASCII of CLDR, after case folding: https://cldr.unicode.org/, common/transforms.
LETTERS: Final = str.maketrans(
    {
        "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ĸ": "q", "ł": "l", "ŋ": "n",  # noqa: RUF001
        "þ": "th", "ŧ": "t", "ƀ": "b", "ƃ": "b", "ƈ": "c", "ɗ": "d", "ƌ": "d", "ƒ": "f", "ǥ": "g", "ɠ": "g",
        "ɨ": "i", "ƙ": "k", "ƚ": "l", "ɲ": "n", "ƞ": "n", "ɵ": "o", "ƥ": "p", "ɍ": "r", "ƫ": "t", "ƭ": "t",
        "ʈ": "t", "ʉ": "u", "ʋ": "v", "ƴ": "y", "ɏ": "y", "ƶ": "z", "ȥ": "z", "ȼ": "c", "ɇ": "e", "ɉ": "j",  # noqa: RUF001
        "ς": "σ",  # noqa: RUF001
    }
)  # fmt: skip
# Scripts that put no spaces between words, of which each character is a word here: Han, Hiragana, Katakana. Thai, Lao,
# Khmer and Burmese have none either, but a character of theirs says too little.
ALONE: Final = re.compile(
    "[\u3005-\u3007\u3041-\u3096\u309d-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
# Before these, a text can be taken apart: each ends a word, or is one alone, and combines with nothing before it.
BETWEEN: Final = re.compile(rf"[\x00-/:-@\[-`{{-\x7f\s{ALONE.pattern[1:]}")
ASCII_WORD: Final = re.compile("[a-z0-9]+")
PLAIN: Final = re.compile("[a-y0-9]+")
DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class NoWords(ValueError):
    """A query has no word, or too many."""


def fold(text: str) -> str:
    """Return a text without case, accents and compatibility forms: ``Ærø`` and ``AEROE`` differ only in their ``e``.

    Marks of combining class 0 to 9 stay: they are vowels and consonants of Indian scripts, and the voicing of kana.
    """
    if text.isascii():
        return text.lower()
    folded = _without_marks(_without_marks(few_marks(text)).casefold()).translate(LETTERS)
    return unicodedata.normalize("NFC", folded)


def few_marks(text: str) -> str:
    """Return a text with at most ``MOST_MARKS`` combining marks in a row.

    ``unicodedata.normalize`` sorts each run of marks in quadratic time, and no other thread runs meanwhile.
    """
    perhaps, many = _runs_of_marks()
    return perhaps.sub(lambda found: many.sub(lambda run: run[0][:MOST_MARKS], found[0]), text)


def is_mark(character: str) -> bool:
    """Return whether a character begins with a mark that is sorted among others, perhaps only when it is decomposed."""
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


def words_of(text: str) -> Iterator[str]:
    """Return the words of a text, folded: runs of letters, digits and marks, of at most ``LONGEST_WORD`` characters."""
    left = MOST_FOLDED
    for part in parts_of(text[:MOST_CHARACTERS], PART):
        folded = fold(part)
        if folded.isascii():
            words = ASCII_WORD.findall(folded)
        else:
            words = ALONE.sub(r" \g<0> ", folded.translate(_LETTERS_AND_SPACES)).split()
            left -= len(folded)
        yield from (word[:LONGEST_WORD] for word in words)
        if left <= 0:
            break


def parts_of(text: str, length: int) -> Iterator[str]:
    """Return the parts of a text, which have no word in common, each of about ``length`` characters.

    Of so long a word as no language has, the rest is left out.
    """
    start = 0
    while start < len(text):
        between = BETWEEN.search(text, start + length)
        end = between.start() if between else len(text)
        yield text[start : min(end, start + 2 * length)]
        start = end


def stored_words(texts: Iterable[str | None]) -> str:
    """Return the words of a row's texts as they are stored: each once, in no order that means anything."""
    found: set[str] = set()
    length = 0
    for word in (word for text in texts for word in words_of(text or "")):
        if word not in found:
            found.add(word)
            length += len(word) * ENCODED_LENGTH
            if length > MOST_STORED:
                break
    return " ".join(sorted(map(encoded, found)))


def searched_words(query: str) -> list[str]:
    """Return the encoded words of a query. Raises ``NoWords`` if there is none, or more than ``MOST_WORDS``.

    No character of a query is an operator, so no query is malformed.
    """
    words = list(dict.fromkeys(map(encoded, words_of(query))))
    if not words:
        raise NoWords("There is no word to search for.")
    if len(words) > MOST_WORDS:
        raise NoWords(f"A search has at most {MOST_WORDS} words.")
    return words


def encoded(word: str) -> str:
    """Return a word in ``[a-z0-9]``. The beginning of a word is encoded as the beginning of the whole word is.

    A ``z`` is ``zz``. Another letter is a ``z`` and four digits to the base of 36, of which the first is no ``z``.
    """
    return word if PLAIN.fullmatch(word) else "".join(map(_encoded_letter, word))


def fts_name(table: str) -> str:
    """Return the name of the FTS5 table of a table of words."""
    return f"{table}_fts"


def index_name(table: str) -> str:
    """Return the name of the GIN index of a table of words."""
    return f"ix_{table}_words"


def fts_statement(table: str) -> str:
    """Return the statement of the FTS5 table. It keeps no text of its own, and no places: only which row has a word."""
    options = "content_rowid='id', tokenize='ascii', detail='none'"
    return f"CREATE VIRTUAL TABLE {fts_name(table)} USING fts5 (words, content='{table}', {options})"


def is_fts_index(name: str, statement: str | None) -> bool:
    """Return whether a table of a SQLite file is one of our indexes, by its statement."""
    return statement == fts_statement(name.removesuffix(fts_name("")))


def create_statements(table: str, engine: str) -> list[str]:
    """Return the statements that make the index of a table of words, which has the columns ``id`` and ``words``.

    The name of the table is one of the program's.
    """
    if engine == "postgresql":
        return [f"CREATE INDEX {index_name(table)} ON {table} USING gin ({vector('words')})"]
    index = fts_name(table)
    # https://www.sqlite.org/fts5.html#external_content_tables
    remove = f"INSERT INTO {index} ({index}, rowid, words) VALUES ('delete', old.id, old.words)"  # noqa: S608
    add = f"INSERT INTO {index} (rowid, words) VALUES (new.id, new.words)"  # noqa: S608
    return [
        fts_statement(table),
        f"CREATE TRIGGER {index}_insert AFTER INSERT ON {table} BEGIN {add}; END",
        f"CREATE TRIGGER {index}_delete AFTER DELETE ON {table} BEGIN {remove}; END",
        f"CREATE TRIGGER {index}_update AFTER UPDATE ON {table} BEGIN {remove}; {add}; END",
        rebuild_statement(table),
    ]


def drop_statements(table: str, engine: str) -> list[str]:
    """Return the statements that remove the index of a table of words."""
    if engine == "postgresql":
        return [f"DROP INDEX IF EXISTS {index_name(table)}"]
    index = fts_name(table)
    triggers = [f"DROP TRIGGER IF EXISTS {index}_{event}" for event in ("insert", "delete", "update")]
    return [*triggers, f"DROP TABLE IF EXISTS {index}"]


def rebuild_statement(table: str) -> str:
    """Return the statement that makes the index of SQLite again, without any trace of former words."""
    return f"INSERT INTO {fts_name(table)} ({fts_name(table)}) VALUES ('rebuild')"  # noqa: S608


def vector(words: str) -> str:
    """Return the SQL of the words as PostgreSQL indexes them."""
    # No parser is involved, which would take some words apart.
    return f"array_to_tsvector(string_to_array({words}, ' '))"


class _Unmarked(dict[int, int | None]):
    """What is left of a character without marks: itself, or nothing. Each is looked up once."""

    def __missing__(self, number: int) -> int | None:
        self[number] = number if unicodedata.combining(chr(number)) < 10 else None
        return self[number]


class _LettersAndSpaces(dict[int, str]):
    """What stands for a character where words are split. Each is looked up once."""

    def __missing__(self, number: int) -> str:
        letter = chr(number)
        category = unicodedata.category(letter)
        # Soft hyphens and joiners are inside of words.
        self[number] = "" if category == "Cf" else letter if category[0] in "LNM" else " "
        return self[number]


_UNMARKED: Final = _Unmarked()
_LETTERS_AND_SPACES: Final = _LettersAndSpaces()


@cache
def _runs_of_marks() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of what may be too long a run of marks, and of what is one.

    The second alone takes 20 times longer: ``re`` has a table for characters of the first plane only. The marks of
    the second plane are few, so the first pattern takes all between them for marks. Other planes have none.
    """
    first = "".join(filter(is_mark, map(chr, range(0x300, 0x10000))))
    second = list(filter(is_mark, map(chr, range(0x10000, 0x20000))))
    at_least = f"{{{MOST_MARKS + 1},}}"
    perhaps, exact = f"[{first}{second[0]}-{second[-1]}]", f"[{first}{''.join(second)}]"
    return re.compile(perhaps + at_least), re.compile(exact + at_least)


def _without_marks(text: str) -> str:
    return unicodedata.normalize("NFKD", text).translate(_UNMARKED)


def _encoded_letter(letter: str) -> str:
    if letter == "z":
        return "zz"
    if PLAIN.fullmatch(letter):
        return letter
    number, digits = ord(letter), ""
    for _ in range(4):
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return f"z{digits}"
