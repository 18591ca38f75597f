"""Which new passwords are accepted. Those that people have already go on working.

The rules are those of NIST SP 800-63B-4, section 3.1.1.2, and OWASP ASVS 5.0, chapter 6.2: a length, no rules about
kinds of characters, and nothing that is common, guessable, known from a breach, or about the person or their tenant.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from math import prod
from typing import Final, Protocol
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.credentials.passwords import MAX_LENGTH, hash_password
from tenantapp.identity.effective import tenants_of
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import User

MIN_LENGTH: Final = 15  # characters, of a password that is all that somebody signs in by
MIN_LENGTH_WITH_FACTOR: Final = 8  # characters, of a password beside a second factor
LEAST_SCORE: Final = 3  # of zxcvbn: more than 10**8 guesses
LEAST_SCORE_WITH_FACTOR: Final = 2  # more than 10**6 guesses
# zxcvbn takes a time that grows with the square of the length, and with the number of ways to read "p4$$w0rd".
JUDGED_LENGTH: Final = 40  # characters
MOST_READINGS: Final = 64
WORD_LENGTH: Final = 4  # characters: a shorter name is in too many words
PRODUCT: Final = "tenantapp"


class Breached(Protocol):
    """What knows passwords that were in breaches."""

    def __contains__(self, password: str, /) -> bool:
        """Return whether a password was in a breach."""


def check_password(
    password: str, words: Collection[str] = (), *, second_factor: bool = False, breached: Breached | None = None
) -> None:
    """Check a new password. ``words`` are what it must not contain: names of the person and of their tenants.

    ``second_factor`` says that the person proves more than the password when they sign in. Raises ``InvalidValue``.
    """
    normal = unicodedata.normalize("NFC", password)
    least = MIN_LENGTH_WITH_FACTOR if second_factor else MIN_LENGTH
    if not least <= len(normal) <= MAX_LENGTH:
        raise _refused(f"A password has {least} to {MAX_LENGTH} characters. Several words are easy to remember.")
    parts = [*parts_of([*words, PRODUCT])]
    for part in parts:
        if part in _folded(normal):
            raise _refused(f"The password contains “{part}”, which others would try first.")
    least_score = LEAST_SCORE_WITH_FACTOR if second_factor else LEAST_SCORE
    if _is_common(normal) or _is_guessable(normal, parts, least_score):
        raise _refused("The password is easy to guess. Take several words that have nothing to do with each other.")
    if breached is not None and normal in breached:
        raise _refused("The password is known from a breach of another service. Take another one.")


def hash_new_password(
    password: str,
    words: Collection[str] = (),
    *,
    memory: int,
    second_factor: bool = False,
    breached: Breached | None = None,
) -> str:
    """Check a new password, and return its hash. The arguments are those of ``check_password`` and ``hash_password``.

    Raises ``InvalidValue`` and ``TooManySignIns``.
    """
    check_password(password, words, second_factor=second_factor, breached=breached)
    return hash_password(password, memory)


def words_about(session: Session, user_id: UUID) -> list[str]:
    """Return what the password of a person must not contain: their login, name, address, and their tenants' names."""
    user = session.scalars(select(User).where(User.id == user_id)).one()
    tenants = [text for tenant in tenants_of(session, user_id) for text in (tenant.slug, tenant.name)]
    return [user.login, user.name, *([user.mail_address] if user.mail_address else []), *tenants]


def parts_of(words: Iterable[str]) -> Iterator[str]:
    """Yield these words, and each word in them, folded, if it is not so short that it is in other words."""
    found = (part for word in words for part in (word, *re.split(r"[\W_]+", word)))
    yield from dict.fromkeys(folded for part in found if len(folded := _folded(part)) >= WORD_LENGTH)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()


def _refused(sentence: str) -> InvalidValue:
    return InvalidValue("password", sentence)


def _is_common(password: str) -> bool:
    return _folded(password) in _common()


@cache
def _common() -> frozenset[str]:
    """Return the common passwords that come with zxcvbn: 30000, of which 11611 have 8 characters or more."""
    # Importing it takes 0.2 s, which a program that sets no password need not.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])


def _is_guessable(password: str, words: Collection[str], least_score: int) -> bool:
    """Return whether zxcvbn gives it a lower score. It judges only the beginning, which takes at most 0.3 s."""
    from zxcvbn import zxcvbn

    judged = password[:JUDGED_LENGTH]
    # Somebody who writes so many different signs for letters has written no word.
    if _readings(judged) > MOST_READINGS:
        return False
    return bool(zxcvbn(judged, user_inputs=list(words))["score"] < least_score)


def _readings(password: str) -> int:
    """Return in how many ways zxcvbn reads signs as letters, such as ``$`` as ``s``."""
    from zxcvbn.matching import L33T_TABLE, relevant_l33t_subtable

    return prod(len(signs) for signs in relevant_l33t_subtable(password, L33T_TABLE).values())
