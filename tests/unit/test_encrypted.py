"""Values that are stored encrypted."""

import pytest

from tenantapp.identity.encrypted import Undecipherable, decrypt, encrypt

SECRET = "a secret of the installation, long enough"


def test_a_value_is_read_only_where_it_was_written() -> None:
    stored = encrypt("Grüße", SECRET, "provider", "row 1")
    assert "Gr" not in stored
    assert stored != encrypt("Grüße", SECRET, "provider", "row 1")
    assert decrypt(stored, SECRET, "provider", "row 1") == "Grüße"
    for secret, purpose, owner in (
        ("another secret of an installation, long enough", "provider", "row 1"),
        (None, "provider", "row 1"),
        (SECRET, "totp", "row 1"),
        (SECRET, "provider", "row 2"),
    ):
        with pytest.raises(Undecipherable):
            decrypt(stored, secret, purpose, owner)
    for damaged in (stored[:-4], "v1:", "v1:äöü", "v2:" + stored[3:], ""):
        with pytest.raises(Undecipherable):
            decrypt(damaged, SECRET, "provider", "row 1")


def test_without_a_secret_it_is_in_clear_and_the_secret_may_come_later() -> None:
    stored = encrypt("clear", None, "provider", "row 1")
    assert stored == "v0:clear"
    assert decrypt(stored, SECRET, "provider", "row 1") == "clear"
