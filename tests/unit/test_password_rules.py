"""Which new passwords are accepted, and how the list of breached ones is made and asked."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tenantapp.cli.demo_data import PASSWORD, PEOPLE, TENANTS
from tenantapp.credentials.breached import MAGIC, BreachedPasswords, make_filter
from tenantapp.credentials.errors import InvalidBreachedList
from tenantapp.credentials.password_rules import check_password, parts_of
from tenantapp.identity.errors import InvalidValue

ABOUT_ADA = ("ada@example.com", "Ada Lovelace", "acme", "Acme Corporation", "Al")


def refusal(password: str, *, second_factor: bool = False, breached: BreachedPasswords | None = None) -> str:
    """The sentence that a password is refused with, or none."""
    try:
        check_password(password, ABOUT_ADA, second_factor=second_factor, breached=breached)
    except InvalidValue as error:
        return f"{error.field}: {error}"
    return ""


@pytest.mark.parametrize(
    "password",
    [
        "three otters juggling",
        "drei Otter jonglieren",
        "kx9#Vq2!mZ7&pL4",
        "とても長い合言葉なので誰にもわからない",
        "@4({[<!1|$5+7%2@4({[<!1|$5+7%2",
        "w" + "wombat lantern picnic " * 40,
        PASSWORD,
    ],
)
def test_long_passwords_of_any_characters_are_good(password: str) -> None:
    assert refusal(password) == ""


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("kx9#Vq2!mZ7&pL", "15 to 1024"),
        ("x" * 1025, "15 to 1024"),
        ("Lovelace invents programs", "“lovelace”"),
        ("my ADA@example.com login", "“ada@example.com”"),
        ("juggling at \uff21\uff23\uff2d\uff25 daily", "“acme”"),
        ("nobody likes tenantapp", "“tenantapp”"),
        ("passwordpassword", "easy to guess"),
        ("aaaaaaaaaaaaaaaaaaaa", "easy to guess"),
        ("123456789012345678", "easy to guess"),
        ("qwertyuiopasdfghjkl", "easy to guess"),
        ("iloveyou12345678", "easy to guess"),
    ],
)
def test_short_guessable_and_own_ones_are_refused_with_the_reason(password: str, why: str) -> None:
    assert refusal(password).startswith("password: ")
    assert why in refusal(password)


def test_beside_a_second_factor_eight_characters_are_enough_and_common_ones_are_not() -> None:
    assert refusal("kx9#Vq2!", second_factor=True) == ""
    assert "15 to 1024" in refusal("kx9#Vq2!")
    assert "8 to 1024" in refusal("kx9#Vq2", second_factor=True)
    assert "easy to guess" in refusal("Superman1", second_factor=True)
    assert "easy to guess" in refusal("Chelsea1", second_factor=True)


def test_the_length_counts_characters_as_they_are_hashed() -> None:
    """Composed: fifteen keys, and accents that are characters of their own on some keyboards."""
    assert "15 to 1024" in refusal("e\u0301a\u0301i\u0301o\u0301u\u0301y\u0301w\u0301")


def test_short_names_do_not_count() -> None:
    assert list(parts_of(["Al", "Ada Lovelace-King", "bo"])) == ["ada lovelace-king", "lovelace", "king"]


def test_judging_takes_a_bounded_time() -> None:
    began = time.process_time()
    for password in ("1|!7" * 9 + "@9($", "p@$$w0rd" * 128, "@4({[<3610$5+%2b" * 3):
        refusal(password)
    assert time.process_time() - began < 3


def test_the_judge_is_imported_only_when_a_password_is_set() -> None:
    program = "import sys, tenantapp.credentials.password_rules; print('zxcvbn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


def test_the_password_of_the_demo_follows_the_rules() -> None:
    words = [word for person in PEOPLE for word in (person.login, person.name)]
    check_password(PASSWORD, [*words, *TENANTS, *TENANTS.values()])


def listed(*passwords: str) -> list[bytes]:
    digests = sorted(hashlib.sha1(password.encode()).hexdigest().upper() for password in passwords)
    return [f"{digest}:{number}\r\n".encode() for number, digest in enumerate(digests, 1)]


def test_breached_passwords_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "breached"
    lines = listed(*(f"three otters juggling {number}" for number in range(5000)))
    assert make_filter(lines, sum(map(len, lines)), path) == 5000
    breached = BreachedPasswords(path)
    assert all(f"three otters juggling {number}" in breached for number in range(5000))
    assert sum(f"other {number}" in breached for number in range(20_000)) < 30
    assert path.stat().st_size < 2.4 * 5000
    assert "from a breach" in refusal("three otters juggling 77", breached=breached)
    assert refusal("thirty otters juggling", breached=breached) == ""


def test_a_new_list_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "breached"
    make_filter(listed("an old password"), 43, path)
    breached = BreachedPasswords(path)
    make_filter(listed("a new password", "another"), 86, path)
    assert "a new password" in breached
    assert "an old password" not in breached


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "empty"),
        ([*listed("a"), b"nonsense\n"], "Line 2"),
        ([b"0" * 39 + b"g:1\n", b"zz"], "Line 2"),
        (listed("a", "b")[::-1], "Line 2 of the list is not in order"),
        (listed("a") * 2, "not in order"),
    ],
)
def test_a_wrong_list_changes_nothing(tmp_path: Path, lines: list[bytes], why: str) -> None:
    path = tmp_path / "breached"
    make_filter(listed("a password"), 43, path)
    with pytest.raises(InvalidBreachedList, match=why):
        make_filter(lines, 86, path)
    assert "a password" in BreachedPasswords(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"x" * 10, MAGIC.ljust(44, b"\0"), None])
def test_a_damaged_filter_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "breached"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidBreachedList):
        BreachedPasswords(path)
