"""Logins that people cannot tell apart, and those that nobody chooses for themselves."""

import pytest

from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.look_alikes import check_own_login, skeleton
from tenantapp.identity.names import normalize_login


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada", "\u0430d\u0430"),  # Cyrillic
        ("paypal", "paypa1"),
        ("root", "r00t"),
        ("modern", "modem"),
        ("scope", "\u0455\u0441\u043e\u0440\u0435"),  # all of it Cyrillic
        ("ohm", "\u03bfhm"),  # Greek
        ("kai", "\u212aai"),  # the sign of kelvin
        ("bob", "b\u0585b"),  # Armenian
        ("li", "1i"),
        ("ill", "i11"),
    ],
)
def test_logins_that_look_alike_have_one_skeleton(one: str, other: str) -> None:
    assert skeleton(normalize_login(one)) == skeleton(normalize_login(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [("ada", "ade"), ("bob1", "bob2"), ("ann", "\u00e4nn"), ("admin", "adm1n"), ("p0", "p1"), ("\u674e", "\u738b")],
)
def test_other_logins_have_others(one: str, other: str) -> None:
    assert skeleton(normalize_login(one)) != skeleton(normalize_login(other))


@pytest.mark.parametrize(
    "login",
    [
        "admin",
        "Root",
        "r00t",
        "\u0430dmin",
        "LOCAL",
        "p\u0430ypal",
        "ada\u03b1",
        "a b",
        "a\u200db",
        "\U0001f642",
        "\ufdfa",
    ],
)
def test_what_nobody_chooses(login: str) -> None:
    with pytest.raises(InvalidValue):
        check_own_login(normalize_login(login))


@pytest.mark.parametrize(
    "login",
    [
        "ada",
        "ann+x@example.com",
        "admin@example.com",
        "o'neil_2",
        "\u0438\u0432\u0430\u043d",
        "\u0438\u0432\u0430\u043d@example.com",
        "\u674ewei",
        "\u305f\u308dtaro",
        "\u0639\u0645\u0631",
        "str\u00e4\u00dfle",
    ],
)
def test_what_people_of_all_languages_choose(login: str) -> None:
    check_own_login(normalize_login(login))
